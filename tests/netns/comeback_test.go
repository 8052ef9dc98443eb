package netns_test

import (
	"errors"
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

// TestReturn lets a node come back that has been there before: after so long
// that no session is left, after a boot, and with another address, which at
// first nobody else knows. Pods reach each other again within 5 s.
func TestReturn(t *testing.T) {
	harness.Require(t)
	c := harness.NewCluster(t, 2, harness.Options{})
	n1, n2 := c.Nodes[0], c.Nodes[1]
	a, b := c.AddPod(n1, harness.Role("a")), c.AddPod(n2, harness.Role("b"))
	defer b.EchoUDP(7)()
	defer c.Live(everybody)()
	to := netip.AddrPortFrom(b.Addr, 7)
	must(t, a.EchoOnce(to, harness.Filler(100), soon))
	for _, event := range []struct {
		name string
		do   func() (time.Time, error) // gives when it is back
	}{
		{"after long absence", func() (time.Time, error) {
			back := n2.Away()
			if err := errors.Join(n1.ExpireSessions(), n2.ExpireSessions()); err != nil {
				return time.Time{}, err
			}
			silent(t, &a.Host, to)
			time.Sleep(3 * time.Second) // both ends are looking for each other
			back()
			return time.Now(), nil
		}},
		{"after a boot", func() (at time.Time, err error) {
			c.Between(func() error { at, err = time.Now(), n2.Reboot(); return err })
			return at, err
		}},
		{"with another address", func() (at time.Time, err error) {
			c.Between(func() error { at, err = time.Now(), n2.Renumber(netip.MustParseAddr("192.0.2.77")); return err })
			return at, err
		}},
	} {
		t.Run(event.name, func(t *testing.T) {
			back, err := event.do()
			must(t, err)
			for a.EchoOnce(to, harness.Filler(100), never) != nil {
				if time.Since(back) > scaled(comeback) {
					t.Fatalf("no answer after %s; %s", time.Since(back), c.Drops())
				}
			}
			t.Logf("answers again after %s", time.Since(back).Round(time.Millisecond))
		})
	}
}
