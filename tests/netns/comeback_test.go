package netns_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/signet-cni/signet/tests/netns/harness"
)

// comeback is how soon peers have to find each other again.
const comeback = 5 * time.Second

// TestComeback cuts a node off before any session, so that both ends have long
// given up on their handshakes, and lets it come back: the pair has a session
// within 5 s although no pod sends anything.
func TestComeback(t *testing.T) {
	harness.Require(t)
	c := harness.NewCluster(t, 2, harness.Options{})
	a, b := c.AddPod(c.Nodes[0], harness.Role("a")), c.AddPod(c.Nodes[1], harness.Role("b"))
	back := c.Nodes[1].Away()
	for _, n := range c.Nodes {
		must(t, n.DropPeers()) // and with them the session
	}
	must(t, c.Sync())
	defer c.Live(everybody)()
	time.Sleep(12 * time.Second)
	if c.Nodes[0].Connected() || c.Nodes[1].Connected() {
		t.Fatal("there is a session although the node is away")
	}
	back()
	began := time.Now()
	for !c.Nodes[0].Connected() || !c.Nodes[1].Connected() {
		if time.Since(began) > scaled(comeback) {
			t.Fatalf("no session after %s", time.Since(began))
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Logf("a session after %s", time.Since(began).Round(time.Millisecond))
	defer b.EchoUDP(7)()
	must(t, a.EchoOnce(netip.AddrPortFrom(b.Addr, 7), harness.Filler(100), soon))
}
