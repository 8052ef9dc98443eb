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

// apply makes a table what it is after a change.
func apply(t *Table, d Delta) {
	amend(t.Identities, d.Put.Identities, d.Gone.Identities)
	amend(t.Rules, d.Put.Rules, d.Gone.Rules)
	amend(t.CIDRs, d.Put.CIDRs, d.Gone.CIDRs)
	amend(t.Chunks, d.Put.Chunks, d.Gone.Chunks)
	amend(t.Names, d.Put.Names, d.Gone.Names)
}

func amend[K comparable, V any](rows, put, gone map[K]V) {
	for key := range gone {
		delete(rows, key)
	}
	maps.Copy(rows, put)
}

// Identities that come one after the other lead to the table that all of them
// at once lead to, whatever was there before. They touch nothing.
func TestNewIdentities(t *testing.T) {
	for _, scale := range []struct{ identities, policies, first int }{{600, 60, 0}, {600, 60, 300}, {300, 200, 290}, {200, 0, 1}} {
		ids, policies := bigCluster(t, scale.identities, scale.policies)
		order := slices.Sorted(maps.Keys(ids))
		rand.New(rand.NewPCG(1, 2)).Shuffle(len(order), func(a, b int) { order[a], order[b] = order[b], order[a] })
		part := map[identity.ID]identity.Set{identity.World: {}}
		for _, id := range order[:scale.first] {
			part[id] = ids[id]
		}
		result := Compile(part, policies)
		for rest := order[scale.first:]; len(rest) > 0; {
			count := min(1+rand.IntN(40), len(rest))
			more := map[identity.ID]identity.Set{identity.Host: {}}
			for _, id := range rest[:count] {
				more[id] = ids[id]
			}
			rest = rest[count:]
			delta, ok := result.Change(Diff{Identities: more})
			if !ok {
				t.Fatal("numbers collide")
			}
			if !delta.Gone.Empty() || len(delta.Put.Identities) != count {
				t.Fatalf("%d identities lead to %d entries, and take %d rows away", count, len(delta.Put.Identities), len(delta.Gone.Rules))
			}
			apply(&result.Table, delta)
		}
		what := fmt.Sprintf("%d identities, %d policies, from %d on", scale.identities, scale.policies, scale.first)
		sameTable(t, what, result.Table, Compile(ids, policies).Table)
	}
}

// Where numbers collide the change is refused, or right.
func TestCollisions(t *testing.T) {
	ids, policies := bigCluster(t, 120, 40)
	order := slices.Sorted(maps.Keys(ids))
	few := func(d digest) uint64 { return first64(d) % 3000 }
	refused := 0
	check := func(what string, result *Result, d Diff, ids map[identity.ID]identity.Set, policies []Policy) {
		t.Helper()
		delta, ok := result.Change(d)
		if !ok {
			refused++
			return
		}
		apply(&result.Table, delta)
		sameTable(t, what, result.Table, compile(ids, policies, few).Table)
	}
	for n := range order {
		part := maps.Clone(ids)
		delete(part, order[n])
		result := compile(part, policies, few)
		check("one more", &result, Diff{Identities: map[identity.ID]identity.Set{order[n]: ids[order[n]]}}, ids, policies)
		result = compile(ids, policies, few)
		check("one less", &result, Diff{GoneIdentities: order[n : n+1]}, part, policies)
		p := policies[n%len(policies)]
		rest := slices.DeleteFunc(slices.Clone(policies), func(q Policy) bool { return q.Name == p.Name })
		result = compile(ids, rest, few)
		check("a policy more", &result, Diff{Policies: []Policy{p}}, ids, policies)
		result = compile(ids, policies, few)
		check("a policy less", &result, Diff{GonePolicies: []PolicyRef{p.Ref()}}, ids, rest)
	}
	if tried := 4 * len(order); refused < tried/20 || refused > tried*19/20 {
		t.Errorf("%d of %d were refused: one of both ways was hardly tried", refused, tried)
	}
}

// A change that costs as much as compiling is refused, and so is one when much
// is cached that nothing needs.
func TestRefusedChanges(t *testing.T) {
	ids, policies := bigCluster(t, 100, 50)
	result := Compile(ids, nil)
	if _, ok := result.Change(Diff{Policies: policies}); ok {
		t.Error("all policies at once were taken one by one")
	}
	result = Compile(ids, policies)
	p := policies[0]
	for n := uint16(1); n < 65535; n++ {
		p.Ingress = []Rule{{Ports: []Port{{Protocol: TCP, First: n, Last: n}, {Protocol: UDP, First: n, Last: n}}}}
		if _, ok := result.Change(Diff{Policies: []Policy{p}}); !ok {
			return
		}
	}
	t.Error("the cache grows without end")
}
