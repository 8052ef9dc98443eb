package policytest

import (
	"testing"

	"github.com/signet-cni/signet/enforce/policy"
	"github.com/signet-cni/signet/enforce/policy/oracle"
)

// Figures of the random comparison: clusters, and packets a cluster.
const (
	clusters = 2000
	packets  = 100
)

// disagrees says whether table and oracle judge a packet differently.
func disagrees(c oracle.Cluster, p oracle.Packet) bool {
	w := Translate(c)
	result := w.Compile()
	return differs(w, &result.Table, p)
}

func differs(w World, table *policy.Table, p oracle.Packet) bool {
	egress, ingress := w.Cluster.Judge(p)
	verdict := table.Admits(w.Query(p))
	return verdict.Egress.Admitted() != egress || verdict.Ingress.Admitted() != ingress
}

// opens says whether the table admits what the oracle denies, while the pods'
// identities leave out keys that policies name.
func opens(c oracle.Cluster, p oracle.Packet) bool {
	w := TranslateStale(c)
	result := w.Compile()
	return widens(w, &result.Table, p)
}

func widens(w World, table *policy.Table, p oracle.Packet) bool {
	egress, ingress := w.Cluster.Judge(p)
	verdict := table.Admits(w.Query(p))
	return verdict.Egress.Admitted() && !egress || verdict.Ingress.Admitted() && !ingress
}

func report(t *testing.T, seed uint64, c oracle.Cluster, p oracle.Packet, fails func(oracle.Cluster, oracle.Packet) bool) {
	t.Helper()
	smallest := oracle.Shrink(c, p, func(c oracle.Cluster) bool { return fails(c, p) })
	w := Translate(smallest)
	result := w.Compile()
	egress, ingress := smallest.Judge(p)
	t.Fatalf("seed %d: table %+v, oracle egress %v ingress %v\npacket %s\nsmallest cluster %s",
		seed, result.Table.Admits(w.Query(p)), egress, ingress, p, smallest)
}

func check(t *testing.T, seed uint64) (admitted int) {
	t.Helper()
	g := oracle.NewGenerator(seed)
	c := g.Cluster()
	fresh, stale := Translate(c), TranslateStale(c)
	now, before := fresh.Compile(), stale.Compile()
	for range packets {
		p := g.Packet(c)
		if differs(fresh, &now.Table, p) {
			report(t, seed, c, p, disagrees)
		}
		if widens(stale, &before.Table, p) {
			report(t, seed, c, p, opens)
		}
		if now.Table.Admits(fresh.Query(p)).Admitted() {
			admitted++
		}
	}
	return admitted
}

// The compiled table agrees with the oracle on every packet, and is never more
// open than it while identities are behind.
func TestAgreesWithOracle(t *testing.T) {
	admitted := 0
	for seed := range uint64(clusters) {
		admitted += check(t, seed)
	}
	total := clusters * packets
	t.Logf("%d clusters, %d packets, %d admitted", clusters, total, admitted)
	if admitted < total/5 || admitted > total*4/5 {
		t.Errorf("%d of %d packets admitted: the generator tests one side only", admitted, total)
	}
}

func FuzzAgreesWithOracle(f *testing.F) {
	f.Add(uint64(clusters))
	f.Fuzz(func(t *testing.T, seed uint64) { check(t, seed) })
}

// Shrinking keeps the fault, and takes away what has no part in it.
func TestShrink(t *testing.T) {
	g := oracle.NewGenerator(1)
	for range 50 {
		c := g.Cluster()
		p := g.Packet(c)
		_, admits := c.Judge(p)
		if admits {
			continue
		}
		closed := func(c oracle.Cluster) bool {
			_, ingress := c.Judge(p)
			return !ingress
		}
		smallest := oracle.Shrink(c, p, closed)
		if !closed(smallest) {
			t.Fatalf("shrunk to a cluster without the fault: %s", smallest)
		}
		if len(smallest.Policies) != 1 || len(smallest.Pods) > 2 {
			t.Fatalf("not the smallest cluster that isolates: %s", smallest)
		}
	}
}
