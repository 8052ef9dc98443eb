package datapath

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/signet-cni/signet/enforce/policy/oracle"
)

// The rows that are read back from the kernel admit what the table does that
// was put there, and name ports as the pods do.
func TestKernelTableAgrees(t *testing.T) {
	a := newArena(t)
	judged := 0
	for seed := range uint64(60) {
		g := oracle.NewGenerator(seed)
		s, packets := settle(g, g.Cluster(), 60)
		a.load(s)
		result := s.world.Compile()
		for _, p := range packets {
			want := s.world.Query(p)
			got := want
			got.DstNames = nil
			table, err := a.KernelTable(&got)
			must(t, err)
			if diff := cmp.Diff(result.Table.Admits(want), table.Admits(got)); diff != "" {
				t.Fatalf("seed %d: %s (-table +kernel):\n%s", seed, p, diff)
			}
			judged++
		}
	}
	if judged == 0 {
		t.Error("nothing was compared")
	}
}

func TestKernelIdentityAndPlace(t *testing.T) {
	n := newNode(t)
	id, err := n.KernelIdentity(podA().Addr)
	if err != nil || id != idA {
		t.Errorf("identity %s, %v", id, err)
	}
	for addr, want := range map[string]LocationKind{
		addrA: LocalPods, addrFar: RemotePods, ownHost: LocalHost, farHost: RemoteHost, "10.244.9.9": ClusterPods, world: 0,
	} {
		if kind, err := n.Place(netip.MustParseAddr(addr)); err != nil || kind != want {
			t.Errorf("%s: kind %d, %v; want %d", addr, kind, err, want)
		}
	}
}
