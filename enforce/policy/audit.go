package policy

import "github.com/signet-cni/signet/identity"

// Audit puts the pods of some namespaces in audit mode: what their policies
// deny is admitted and told. Everything else that fails closed still does,
// such as an identity that is not known. The sets are those that the table
// was compiled from.
func (t *Table) Audit(sets map[identity.ID]identity.Set, namespace func(string) bool) {
	for id, set := range sets {
		entry, known := t.Identities[id]
		if !known || !namespace(set.Namespace) {
			continue
		}
		entry.Audit = true
		t.Identities[id] = entry
	}
}
