package policytest

import (
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"github.com/signet-cni/signet/enforce/policy"
	"github.com/signet-cni/signet/enforce/policy/oracle"
	"github.com/signet-cni/signet/identity"
)

// Figures of the random sequences of changes.
const (
	sequences = 400
	changes   = 12
)

// moving is a cluster on which things change, one after the other.
type moving struct {
	*rand.Rand
	worlds   []World // what comes is taken from
	ids      map[identity.ID]identity.Set
	policies map[policy.PolicyRef]policy.Policy
}

func newMoving(seed uint64) *moving {
	m := &moving{
		Rand: rand.New(rand.NewPCG(seed, 1)), ids: map[identity.ID]identity.Set{}, policies: map[policy.PolicyRef]policy.Policy{},
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

func (m *moving) compile() policy.Result {
	return policy.Compile(m.ids, slices.Collect(maps.Values(m.policies)))
}

// step makes a few changes, takes them in, and says what they are.
func (m *moving) step() policy.Diff {
	d := policy.Diff{Identities: map[identity.ID]identity.Set{}}
	for range 1 + m.IntN(3) {
		w := m.worlds[m.IntN(len(m.worlds))]
		switch m.IntN(5) {
		case 0, 1: // a policy comes, or replaces another
			if len(w.Policies) > 0 {
				p := w.Policies[m.IntN(len(w.Policies))]
				m.put(&d, p)
			}
		case 2:
			m.dropPolicy(&d)
		case 3:
			for id, set := range w.IDs {
				if m.IntN(3) == 0 {
					m.ids[id], d.Identities[id] = set, set
					d.GoneIdentities = slices.DeleteFunc(d.GoneIdentities, func(gone identity.ID) bool { return gone == id })
				}
			}
		case 4:
			for id := range m.ids {
				if m.IntN(4) == 0 {
					delete(m.ids, id)
					delete(d.Identities, id)
					d.GoneIdentities = append(d.GoneIdentities, id)
				}
			}
		}
	}
	return d
}

func (m *moving) put(d *policy.Diff, p policy.Policy) {
	same := func(other policy.Policy) bool { return refOf(other) == refOf(p) }
	d.Policies = append(slices.DeleteFunc(d.Policies, same), p)
	d.GonePolicies = slices.DeleteFunc(d.GonePolicies, func(ref policy.PolicyRef) bool { return ref == refOf(p) })
	m.policies[refOf(p)] = p
}

func (m *moving) dropPolicy(d *policy.Diff) {
	for ref := range m.policies {
		delete(m.policies, ref)
		d.Policies = slices.DeleteFunc(d.Policies, func(p policy.Policy) bool { return refOf(p) == ref })
		d.GonePolicies = append(d.GonePolicies, ref)
		return
	}
}

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
	maps.Copy(k.Identities, d.Put.Identities)
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

// Whatever changes, one thing after the other, the table is what compiling all
// of it anew gives, and so is what the deltas alone make of the kernel's.
// Explanations are those of the policies then and, of before, still the same.
func TestChangesAgreeWithCompile(t *testing.T) {
	told := 0
	for seed := range uint64(sequences) {
		m := newMoving(seed)
		result := m.compile()
		k := newKernel(result.Table)
		for range changes {
			queries := m.queries(seed)
			before, was := result.Explain, whys(result.Explain, queries)
			delta, ok := result.Change(m.step())
			if !ok {
				t.Fatalf("seed %d: refused", seed)
			}
			whole := m.compile()
			k.take(t, seed, delta)
			if !reflect.DeepEqual(result.Table, whole.Table) || !reflect.DeepEqual(k.Table, whole.Table) {
				t.Fatalf("seed %d: changed, or in the kernel, it is another table than compiled anew", seed)
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

// queries are packets between pods of every cluster that things come from.
func (m *moving) queries(seed uint64) (list []policy.Query) {
	g := oracle.NewGenerator(seed ^ m.Uint64())
	for _, w := range m.worlds {
		for range 4 {
			list = append(list, w.Query(g.Packet(w.Cluster)))
		}
	}
	return list
}

func whys(e *policy.Explain, queries []policy.Query) (list [][2]policy.Why) {
	for _, q := range queries {
		list = append(list, e.Why(q))
	}
	return list
}
