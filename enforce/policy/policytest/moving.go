package policytest

import (
	"maps"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/signet-cni/signet/enforce/policy"
	"github.com/signet-cni/signet/enforce/policy/oracle"
	"github.com/signet-cni/signet/identity"
)

// Moving is a cluster in which things change, one after the other.
type Moving struct {
	random   *rand.Rand
	worlds   []World // that what comes is taken from
	ids      map[identity.ID]identity.Set
	policies map[policy.PolicyRef]policy.Policy
}

// NewMoving gives a cluster as it is at first. The seed decides about all that follows.
func NewMoving(seed uint64) *Moving {
	m := &Moving{
		random: rand.New(rand.NewPCG(seed, 1)), ids: map[identity.ID]identity.Set{}, policies: map[policy.PolicyRef]policy.Policy{},
	}
	g := oracle.NewGenerator(seed)
	for range 3 {
		c := g.Cluster()
		m.worlds = append(m.worlds, Translate(c), TranslateStale(c))
	}
	first := m.worlds[0]
	maps.Copy(m.ids, first.IDs)
	for _, p := range first.Policies {
		m.policies[refOf(p)] = p
	}
	return m
}

func refOf(p policy.Policy) policy.PolicyRef {
	return policy.PolicyRef{Namespace: p.Namespace, Name: p.Name}
}

// Compile compiles everything as it is now.
func (m *Moving) Compile() policy.Result {
	return policy.Compile(m.ids, slices.Collect(maps.Values(m.policies)))
}

// Step makes a few changes, and says what they are.
func (m *Moving) Step() policy.Diff {
	d := policy.Diff{Identities: map[identity.ID]identity.Set{}}
	for range 1 + m.random.IntN(3) {
		w := m.worlds[m.random.IntN(len(m.worlds))]
		switch m.random.IntN(5) {
		case 0, 1: // a policy comes, or replaces another
			if len(w.Policies) > 0 {
				p := w.Policies[m.random.IntN(len(w.Policies))]
				m.put(&d, p)
			}
		case 2:
			m.dropPolicy(&d)
		case 3:
			for _, id := range slices.Sorted(maps.Keys(w.IDs)) {
				if m.random.IntN(3) == 0 {
					m.ids[id], d.Identities[id] = w.IDs[id], w.IDs[id]
					d.GoneIdentities = slices.DeleteFunc(d.GoneIdentities, func(gone identity.ID) bool { return gone == id })
				}
			}
		case 4:
			for _, id := range slices.Sorted(maps.Keys(m.ids)) {
				if m.random.IntN(4) == 0 {
					delete(m.ids, id)
					delete(d.Identities, id)
					d.GoneIdentities = append(d.GoneIdentities, id)
				}
			}
		}
	}
	return d
}

func (m *Moving) put(d *policy.Diff, p policy.Policy) {
	same := func(other policy.Policy) bool { return refOf(other) == refOf(p) }
	d.Policies = append(slices.DeleteFunc(d.Policies, same), p)
	d.GonePolicies = slices.DeleteFunc(d.GonePolicies, func(ref policy.PolicyRef) bool { return ref == refOf(p) })
	m.policies[refOf(p)] = p
}

func (m *Moving) dropPolicy(d *policy.Diff) {
	if len(m.policies) == 0 {
		return
	}
	byName := func(a, b policy.PolicyRef) int { return strings.Compare(a.String(), b.String()) }
	refs := slices.SortedFunc(maps.Keys(m.policies), byName)
	ref := refs[m.random.IntN(len(refs))]
	delete(m.policies, ref)
	d.Policies = slices.DeleteFunc(d.Policies, func(p policy.Policy) bool { return refOf(p) == ref })
	d.GonePolicies = append(d.GonePolicies, ref)
}

// Queries are packets between pods of every cluster that things come from.
func (m *Moving) Queries() (list []policy.Query) {
	g := oracle.NewGenerator(m.random.Uint64())
	for _, w := range m.worlds {
		for range 4 {
			list = append(list, w.Query(g.Packet(w.Cluster)))
		}
	}
	return list
}
