package netns_test

import (
	"errors"
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/signet-cni/signet/overlay"
	"github.com/signet-cni/signet/tests/netns/harness"
)

// TestStolenPort: a device that has got the other's port, before anybody had
// configured it, gives it back at once.
func TestStolenPort(t *testing.T) {
	harness.Require(t)
	c := harness.NewCluster(t, 2, harness.Options{})
	n := c.Nodes[0]
	a, b := c.AddPod(n, harness.Role("a")), c.AddPod(c.Nodes[1], harness.Role("b"))
	defer b.EchoUDP(7)()
	to := netip.AddrPortFrom(b.Addr, 7)
	must(t, a.EchoOnce(to, harness.Filler(100), soon))
	must(t, n.MovePorts(overlay.DefaultPort+100, overlay.DefaultPort))
	must(t, c.Sync())
	must(t, a.EchoOnce(to, harness.Filler(100), soon))
}

// TestReservedPorts: the kernel gives the tunnel's ports to nobody who asks for
// any, although they are free.
func TestReservedPorts(t *testing.T) {
	harness.Require(t)
	n := harness.NewCluster(t, 1, harness.Options{}).Nodes[0]
	must(t, n.MovePorts(overlay.DefaultPort+100, overlay.DefaultPort+101))
	for _, port := range []uint16{overlay.DefaultPort, overlay.DefaultPort + 1} {
		if got, err := n.OnlyPort(port); !errors.Is(err, unix.EADDRINUSE) {
			t.Errorf("where port %d is the only one a socket got %d, %v", port, got, err)
		}
	}
	const free uint16 = overlay.DefaultPort + 2
	if got, err := n.OnlyPort(free); err != nil || got != free {
		t.Errorf("where port %d is the only one a socket got %d, %v", free, got, err)
	}
}
