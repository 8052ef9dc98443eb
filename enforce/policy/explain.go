package policy

import (
	"net/netip"
	"slices"

	"github.com/signet-cni/signet/identity"
)

// Explain answers why a Table says what it says. It refers to the compiled
// policies and does not change with them: it goes on to tell of the policies
// that it was made for. It is safe for concurrent use.
type Explain struct {
	subjects *subjects
	policies map[string][]*compiled // by namespace
}

// Isolation is a policy that isolates an identity.
type Isolation struct {
	Policy PolicyRef
	// Unclear: the identity leaves open whether the policy selects it, so that
	// the policy isolates it but admits it nothing.
	Unclear bool
}

// Entry is what the table holds for an identity, and whether it holds any.
func (e *Explain) Entry(id identity.ID) (entry Entry, known bool) {
	if slices.Contains(nonPods, id) {
		return Entry{Class: ClassNonPod}, true
	}
	s, known := e.subjects.get(id)
	return s.entry, known
}

// Isolating gives the policies that isolate an identity in a direction, by
// name; none where it is not isolated or not known.
func (e *Explain) Isolating(id identity.ID, direction Direction) []Isolation {
	var out []Isolation
	for _, selection := range e.selections(id, direction) {
		out = append(out, Isolation{Policy: selection.policy.ref, Unclear: !selection.sure})
	}
	return out
}

// selections gives the policies that isolate an identity.
func (e *Explain) selections(id identity.ID, direction Direction) []selection {
	s, known := e.subjects.get(id)
	if !known {
		return nil
	}
	return s.groups[direction].selections
}

// covers reports whether an address is in the block and in no exception.
func (p *peer) covers(addr netip.Addr) bool {
	return p.cidr.Contains(addr) &&
		!slices.ContainsFunc(p.except, func(except netip.Prefix) bool { return except.Contains(addr) })
}
