package policy

import (
	"slices"

	"github.com/signet-cni/signet/identity"
)

// Result is a compiled policy, with what it takes to explain it and to follow
// what changes. It is not safe for concurrent use; what Explain points to is.
type Result struct {
	Table    Table     // as it was compiled; each Change tells what becomes of it
	Explain  *Explain  // another one after each Change
	Problems []Problem // in the order of the policies' names

	state *state
}

// nonPods are the identities that stand for no labels. No policy selects them,
// and no selector matches them.
var nonPods = []identity.ID{
	identity.Host, identity.RemoteNode, identity.World, identity.Unmanaged, identity.Health,
}

// Compile turns policies over identities into the table that enforces them.
// The table depends on nothing else, not even on the order of the policies. It
// has entries for ids, less the reserved ones, and for the identities of hosts
// and the world. No two policies have the same name.
//
// Where a set leaves open whether a selector matches (identity.Unclear) the
// table is closed: a peer is not admitted, and a subject is isolated without
// being admitted what the policy's rules say.
func Compile(ids map[identity.ID]identity.Set, policies []Policy) Result {
	return compile(ids, policies, first64)
}

func compile(ids map[identity.ID]identity.Set, policies []Policy, short shorten) Result {
	r := Result{state: newState(short)}
	// Nothing is numbered yet, so that no number is in the way.
	delta, _ := r.change(Diff{Identities: ids, Policies: policies})
	r.Table = delta.Put
	for _, id := range nonPods {
		r.Table.Identities[id] = Entry{Class: ClassNonPod}
	}
	r.state.fresh = r.state.cached()
	return r
}

// Audit puts the pods of some namespaces in audit mode, and those of all others
// out of it: what their policies deny is admitted and told. Everything else that
// fails closed still does, such as an identity that is not known. It is for what
// Compile just gave; later changes keep to it.
func (r *Result) Audit(namespace func(string) bool) {
	r.state.audit = namespace
	next := r.state.subjects.edit()
	for id, s := range r.state.subjects.all {
		if s.entry.Audit = namespace(s.set.Namespace); s.entry.Audit != r.Table.Identities[id].Audit {
			next.set(id, s)
			r.Table.Identities[id] = s.entry
		}
	}
	r.publish(next)
}

// publish lets Explain tell of what is compiled now.
func (r *Result) publish(next *subjectsEdit) {
	r.state.subjects = &next.subjects
	r.Explain = &Explain{subjects: r.state.subjects, policies: r.state.grouper.policies}
}

// Ref gives its name.
func (p Policy) Ref() PolicyRef { return PolicyRef{p.Namespace, p.Name} }

// NamedKeys gives the pod label keys that the policies' selectors name, sorted:
// the keys that count even if the ignore list covers them (identity.Ignore).
func NamedKeys(policies []Policy) []string {
	var keys []string
	add := func(s *identity.Selector) {
		if s == nil {
			return
		}
		for _, requirement := range s.Requirements {
			if requirement.Key != "" {
				keys = append(keys, requirement.Key)
			}
		}
	}
	for _, p := range policies {
		add(&p.Subjects)
		for _, r := range slices.Concat(p.Ingress, p.Egress) {
			for _, peer := range r.Peers {
				add(peer.Pods)
			}
		}
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}
