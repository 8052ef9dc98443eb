package policy

// Size counts what a Table holds.
type Size struct {
	Identities int
	RuleSets   int
	Rows       int // of rule sets, for classes and for ipBlocks
}

// Size is that of the table after all changes; zero before anything is compiled.
func (r *Result) Size() Size {
	if r.state == nil {
		return Size{}
	}
	size := Size{Identities: len(nonPods), RuleSets: len(r.state.ruleSets.taken)}
	for _, part := range r.state.subjects {
		size.Identities += len(part)
	}
	for _, set := range r.state.pool.byKey {
		size.Rows += set.uses
	}
	return size
}
