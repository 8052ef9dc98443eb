package policytest

import (
	"maps"
	"reflect"
	"testing"

	"github.com/signet-cni/signet/enforce/policy"
)

// Figures of the random sequences of changes.
const (
	sequences = 400
	changes   = 12
)

// kernel is what a table becomes by deltas alone.
type kernel struct{ policy.Table }

func newKernel(t policy.Table) *kernel {
	return &kernel{policy.Table{
		Identities: maps.Clone(t.Identities), Rules: maps.Clone(t.Rules), CIDRs: maps.Clone(t.CIDRs),
		Chunks: maps.Clone(t.Chunks), Names: maps.Clone(t.Names),
	}}
}

// take applies a delta as the kernel does: first all that is new, under which
// no row may change its meaning.
func (k *kernel) take(t *testing.T, seed uint64, d policy.Delta) {
	t.Helper()
	join(t, seed, k.Rules, d.Put.Rules, d.Gone.Rules)
	join(t, seed, k.CIDRs, d.Put.CIDRs, d.Gone.CIDRs)
	join(t, seed, k.Chunks, d.Put.Chunks, d.Gone.Chunks)
	join(t, seed, k.Names, d.Put.Names, d.Gone.Names)
	for id, entry := range d.Put.Identities {
		if k.Identities[id] == entry {
			t.Fatalf("seed %d: identity %v is put, and had the same entry", seed, id)
		}
		k.Identities[id] = entry
	}
	for id := range d.Gone.Identities {
		delete(k.Identities, id)
	}
}

func join[K, V comparable](t *testing.T, seed uint64, rows, put, gone map[K]V) {
	t.Helper()
	for key, value := range put {
		if old, there := rows[key]; there {
			t.Fatalf("seed %d: row %v is put, and was there as %v", seed, key, old)
		}
		rows[key] = value
	}
	for key, value := range gone {
		if old, there := rows[key]; !there || old != value {
			t.Fatalf("seed %d: row %v=%v is taken away, and was %v", seed, key, value, old)
		}
		delete(rows, key)
	}
}

// Whatever changes, one thing after the other, the deltas alone make of the
// kernel's table what compiling all of it anew gives.
// Explanations are those of the policies then and, of before, still the same.
func TestChangesAgreeWithCompile(t *testing.T) {
	told := 0
	for seed := range uint64(sequences) {
		m := NewMoving(seed)
		result := m.Compile()
		k := newKernel(result.Table)
		for range changes {
			queries := m.Queries()
			before, was := result.Explain, whys(result.Explain, queries)
			delta, ok := result.Change(m.Step())
			if !ok {
				t.Fatalf("seed %d: refused", seed)
			}
			whole := m.Compile()
			k.take(t, seed, delta)
			if !reflect.DeepEqual(k.Table, whole.Table) {
				t.Fatalf("seed %d: changed, it is another table than compiled anew", seed)
			}
			if got, want := [2]policy.Size{result.Size(), whole.Size()}, sizeOf(whole.Table); got != [2]policy.Size{want, want} {
				t.Fatalf("seed %d: changed and compiled anew the sizes are %+v, want %+v", seed, got, want)
			}
			if !reflect.DeepEqual(result.Problems, whole.Problems) || !reflect.DeepEqual(result.Explain.Summaries(), whole.Explain.Summaries()) {
				t.Fatalf("seed %d: summaries or problems differ", seed)
			}
			if !reflect.DeepEqual(whys(result.Explain, queries), whys(whole.Explain, queries)) {
				t.Fatalf("seed %d: explanations differ from those compiled anew", seed)
			}
			if !reflect.DeepEqual(whys(before, queries), was) {
				t.Fatalf("seed %d: explanations of before have changed", seed)
			}
			if !delta.Empty() {
				told++
			}
		}
	}
	if told < sequences*changes/2 {
		t.Errorf("%d changes of %d changed the table: too little was tested", told, sequences*changes)
	}
}

// sizeOf counts the rows of a table.
func sizeOf(t policy.Table) policy.Size {
	ruleSets := map[policy.RuleSetID]bool{}
	for _, entry := range t.Identities {
		ruleSets[entry.Ingress], ruleSets[entry.Egress] = true, true
	}
	delete(ruleSets, policy.NotIsolated)
	return policy.Size{Identities: len(t.Identities), RuleSets: len(ruleSets), Rows: len(t.Rules) + len(t.CIDRs)}
}

func whys(e *policy.Explain, queries []policy.Query) (list [][2]policy.Why) {
	for _, q := range queries {
		list = append(list, e.Why(q))
	}
	return list
}
