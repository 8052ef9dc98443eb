package netns_test

import (
	"errors"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/signet-cni/signet/tests/netns/harness"
)

// TestUnderlayShrinks narrows the underlay under live pods: streams go on, and a
// pod that sends too much learns what fits, as the node tells it by ICMP. When
// the underlay is as wide as before, so is the tunnel.
func TestUnderlayShrinks(t *testing.T) {
	harness.Require(t)
	for name, ipv6 := range map[string]bool{"IPv4": false, "IPv6": true} {
		t.Run(name, func(t *testing.T) {
			c := harness.NewCluster(t, 2, harness.Options{})
			a, b := c.AddPod(c.Nodes[0], harness.Role("a")), c.AddPod(c.Nodes[1], harness.Role("b"))
			shrinks(t, fieldOf(c, a, a, b, ipv6))
		})
	}
}

func shrinks(t *testing.T, c field) {
	const narrow = 1400 // of the underlay: 100 less for pods
	defer c.b.EchoUDP(7)()
	capture := c.Capture()
	stop, poured := make(chan struct{}), make(chan error)
	for _, ends := range [][2]*harness.Host{{c.a, c.b}, {c.b, c.a}} {
		go func() { poured <- harness.Pour(ends[0], ends[1], 9000, 10*time.Millisecond, stop) }()
	}
	most := podMTU - c.headers
	fits(t, c, most)
	must(t, c.SetUnderlayMTU(narrow))
	conn := c.a.UDP(0)
	must(t, harness.Discover(conn, unix.IP_PMTUDISC_DO))
	to := netip.AddrPortFrom(c.b.Addr, 7)
	if err := harness.Echo(conn, to, harness.Filler(most), never); err == nil {
		t.Errorf("%d bytes still pass", most)
	}
	if _, err := conn.WriteToUDPAddrPort(harness.Filler(most), to); !errors.Is(err, unix.EMSGSIZE) {
		t.Errorf("%d bytes the second time: %v, want %v; %s", most, err, unix.EMSGSIZE, c.Drops())
	}
	fits(t, c, most-(1500-narrow))
	time.Sleep(scaled(200 * time.Millisecond)) // for the streams to go on
	must(t, c.SetUnderlayMTU(1500))
	close(stop)
	must(t, errors.Join(<-poured, <-poured))
	capture.Stop(100)
}

// fits sends as much as has to pass in one packet.
func fits(t *testing.T, c field, size int) {
	t.Helper()
	conn := c.a.UDP(0)
	must(t, harness.Discover(conn, unix.IP_PMTUDISC_DO))
	if err := harness.Echo(conn, netip.AddrPortFrom(c.b.Addr, 7), harness.Filler(size), soon); err != nil {
		t.Errorf("%d bytes: %v; %s", size, err, c.Drops())
	}
}
