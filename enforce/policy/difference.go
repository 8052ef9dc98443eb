package policy

import (
	"reflect"
	"slices"

	"github.com/signet-cni/signet/identity"
)

// Difference gives what leads from one input of Compile to another. Policies
// are in the order of namespaces and names, and no two have the same.
func Difference(ids, wantIDs map[identity.ID]identity.Set, policies, wantPolicies []Policy) Diff {
	d := Diff{Identities: map[identity.ID]identity.Set{}}
	for id, set := range wantIDs {
		if old, there := ids[id]; !there || !old.Equal(set) {
			d.Identities[id] = set
		}
	}
	for id := range ids {
		if _, stays := wantIDs[id]; !stays {
			d.GoneIdentities = append(d.GoneIdentities, id)
		}
	}
	for len(policies) > 0 || len(wantPolicies) > 0 {
		order := 0
		switch {
		case len(wantPolicies) == 0:
			order = -1
		case len(policies) == 0:
			order = 1
		default:
			order = policies[0].Ref().compare(wantPolicies[0].Ref())
		}
		switch {
		case order < 0:
			d.GonePolicies = append(d.GonePolicies, policies[0].Ref())
		case order > 0 || !reflect.DeepEqual(policies[0], wantPolicies[0]):
			d.Policies = append(d.Policies, wantPolicies[0])
		}
		if order <= 0 {
			policies = policies[1:]
		}
		if order >= 0 {
			wantPolicies = wantPolicies[1:]
		}
	}
	return d
}

// Empty reports whether there is no difference.
func (d *Diff) Empty() bool {
	return len(d.Identities)+len(d.GoneIdentities)+len(d.Policies)+len(d.GonePolicies) == 0
}

// Amend gives the policies after a change, in the same order. It writes to the
// list that it is given.
func (d *Diff) Amend(policies []Policy) []Policy {
	for _, ref := range d.GonePolicies {
		if n, there := Find(policies, ref); there {
			policies = slices.Delete(policies, n, n+1)
		}
	}
	for _, p := range d.Policies {
		n, there := Find(policies, p.Ref())
		if !there {
			policies = slices.Insert(policies, n, Policy{})
		}
		policies[n] = p
	}
	return policies
}

// Find gives where in a list in the order of namespaces and names a policy is,
// or would be, and whether it is there.
func Find(policies []Policy, ref PolicyRef) (n int, found bool) {
	return slices.BinarySearchFunc(policies, ref, func(p Policy, ref PolicyRef) int { return p.Ref().compare(ref) })
}
