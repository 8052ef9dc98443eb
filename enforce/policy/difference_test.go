package policy

import (
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/signet-cni/signet/identity"
)

// A difference leads from one input to the other, says no more than it has to,
// and there is none from an input to itself.
func TestDifference(t *testing.T) {
	ids, all := bigCluster(t, 40, 30)
	slices.SortFunc(all, func(a, b Policy) int { return a.Ref().compare(b.Ref()) })
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 0))
		from, to := some(r, all), some(r, all)
		for n := range to {
			if r.IntN(4) == 0 {
				to[n].IsolatesEgress = !to[n].IsolatesEgress
			}
		}
		was, is := someIDs(r, ids), someIDs(r, ids)
		d := Difference(was, is, from, to)
		if again := Difference(is, is, to, to); !again.Empty() {
			t.Fatalf("seed %d: from itself: %+v", seed, again)
		}
		if len(d.Policies)+len(d.GonePolicies) > len(from)+len(to) || d.Empty() {
			t.Fatalf("seed %d: %+v", seed, d)
		}
		if got := d.Amend(slices.Clone(from)); tablesDiffer(Compile(is, got).Table, Compile(is, to).Table) != "" || len(got) != len(to) {
			t.Fatalf("seed %d: the difference leads to other policies", seed)
		}
		result := Compile(was, from)
		if delta, ok := result.Change(d); ok {
			apply(&result.Table, delta)
			sameTable(t, "changed", result.Table, Compile(is, to).Table)
		}
	}
}

func some(r *rand.Rand, policies []Policy) []Policy {
	return slices.DeleteFunc(slices.Clone(policies), func(Policy) bool { return r.IntN(3) == 0 })
}

func someIDs(r *rand.Rand, ids map[identity.ID]identity.Set) map[identity.ID]identity.Set {
	part := map[identity.ID]identity.Set{}
	for _, id := range slices.Sorted(maps.Keys(ids)) {
		if r.IntN(3) > 0 {
			part[id] = ids[id]
		}
	}
	return part
}
