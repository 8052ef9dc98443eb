package netns_test

import (
	"net/netip"
	"testing"

	"github.com/signet-cni/signet/tests/netns/harness"
)

func TestPodToPodTCP(t *testing.T) {
	harness.Require(t)
	c := harness.NewCluster(t, 2, harness.Options{})
	a := c.AddPod(c.Nodes[0], harness.Role("a"))
	b := c.AddPod(c.Nodes[1], harness.Role("b"))
	if err := harness.Transfer(&a.Host, &b.Host, netip.AddrPortFrom(b.Addr, 80), 80, 1<<20); err != nil {
		t.Error(err)
	}
	for _, n := range c.Nodes {
		drops, err := n.Datapath.Drops()
		t.Log(err)
		for r, d := range drops {
			if d.Packets > 0 {
				t.Logf("%s: %v %v", n.Uplink, r, d)
			}
		}
	}
}
