package policy

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"github.com/signet-cni/signet/identity"
)

// sameTable compares what a Table holds, row by row.
func sameTable(t *testing.T, what string, got, want Table) {
	t.Helper()
	for name, pair := range map[string][2]any{
		"identities": {got.Identities, want.Identities}, "rules": {got.Rules, want.Rules},
		"CIDRs": {got.CIDRs, want.CIDRs}, "chunks": {got.Chunks, want.Chunks}, "names": {got.Names, want.Names},
	} {
		if !reflect.DeepEqual(pair[0], pair[1]) {
			t.Errorf("%s: %s differ: %d rows, want %d", what, name, reflect.ValueOf(pair[0]).Len(), reflect.ValueOf(pair[1]).Len())
		}
	}
}

// Identities that come one after the other lead to the table that all of them
// at once lead to, whatever was there before. A gain touches nothing.
func TestExtend(t *testing.T) {
	for _, scale := range []struct{ identities, policies, first int }{{600, 60, 0}, {600, 60, 300}, {300, 200, 290}, {200, 0, 1}} {
		ids, policies := bigCluster(t, scale.identities, scale.policies)
		order := slices.Sorted(maps.Keys(ids))
		rand.New(rand.NewPCG(1, 2)).Shuffle(len(order), func(a, b int) { order[a], order[b] = order[b], order[a] })
		part := map[identity.ID]identity.Set{identity.World: {}}
		for _, id := range order[:scale.first] {
			part[id] = ids[id]
		}
		result := Compile(part, policies)
		kernel := clone(result.Table)
		for rest := order[scale.first:]; len(rest) > 0; {
			count := min(1+rand.IntN(40), len(rest))
			more := map[identity.ID]identity.Set{identity.Host: {}}
			for _, id := range rest[:count] {
				more[id] = ids[id]
			}
			rest = rest[count:]
			gain, ok := result.Extend(more, nowhere)
			if !ok {
				t.Fatal("numbers collide")
			}
			mustBeNew(t, kernel, gain)
			kernel.join(&gain)
		}
		what := fmt.Sprintf("%d identities, %d policies, from %d on", scale.identities, scale.policies, scale.first)
		whole := Compile(ids, policies)
		sameTable(t, what, result.Table, whole.Table)
		sameTable(t, what+", joined", kernel, whole.Table)
		for id := range ids {
			for _, direction := range []Direction{Ingress, Egress} {
				if got, want := result.Explain.Isolating(id, direction), whole.Explain.Isolating(id, direction); !slices.Equal(got, want) {
					t.Fatalf("%s: isolated by %v, want %v", id, got, want)
				}
			}
		}
		for key := range whole.Table.Rules {
			if got, want := result.Explain.Row(key), whole.Explain.Row(key); !slices.Equal(got, want) {
				t.Fatalf("row %v is explained by %v, want %v", key, got, want)
			}
		}
	}
}

func nowhere(string) bool { return false }

func clone(t Table) Table {
	return Table{
		Identities: maps.Clone(t.Identities), Rules: maps.Clone(t.Rules), CIDRs: maps.Clone(t.CIDRs),
		Chunks: maps.Clone(t.Chunks), Names: maps.Clone(t.Names),
	}
}

// mustBeNew fails if a gain has a row that was there already.
func mustBeNew(t *testing.T, before, gain Table) {
	t.Helper()
	for key, row := range gain.Rules {
		if old, there := before.Rules[key]; there && old != row {
			t.Fatalf("row %v changes from %v to %v", key, old, row)
		}
	}
	for id := range gain.Identities {
		if _, there := before.Identities[id]; there {
			t.Fatalf("identity %s was there", id)
		}
	}
}

// Where numbers collide the gain is refused, or right.
func TestExtendCollisions(t *testing.T) {
	ids, policies := bigCluster(t, 120, 40)
	order := slices.Sorted(maps.Keys(ids))
	few := func(d digest) uint64 { return first64(d) % 400 }
	refused := 0
	for first := range order {
		part := map[identity.ID]identity.Set{}
		for _, id := range order[:first] {
			part[id] = ids[id]
		}
		result := compile(part, policies, few)
		_, ok := result.Extend(map[identity.ID]identity.Set{order[first]: ids[order[first]]}, nowhere)
		if !ok {
			refused++
			continue
		}
		part[order[first]] = ids[order[first]]
		wholly := compile(part, policies, few)
		if len(wholly.Table.Identities) != len(result.Table.Identities) || len(wholly.Table.Rules) != len(result.Table.Rules) {
			t.Errorf("from %d on: %d rows, want %d", first, len(result.Table.Rules), len(wholly.Table.Rules))
		}
	}
	if refused == 0 {
		t.Error("no collision was provoked")
	}
}

func BenchmarkExtend(b *testing.B) {
	ids, policies := bigCluster(b, 10000, 1000)
	result := Compile(ids, policies)
	n := 0
	for b.Loop() {
		n++
		set := identity.NewSet(fmt.Sprintf("ns-%d", n%100), map[string]string{"env": fmt.Sprint("env-", n%3)}, map[string]string{
			"app": fmt.Sprint("new-", n), "tier": fmt.Sprint("tier-", n%4), "version": "v3",
		}, identity.DefaultIgnore())
		if _, ok := result.Extend(map[identity.ID]identity.Set{identity.Number(set, 0): set}, nowhere); !ok {
			b.Fatal("numbers collide")
		}
	}
}
