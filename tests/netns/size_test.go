package netns_test

import (
	"fmt"
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/signet-cni/signet/tests/netns/harness"
)

// Sizes in bytes on an underlay of 1500.
const (
	podMTU     = 1400
	maxPayload = podMTU - 28 // of a UDP datagram in one packet
)

// testSizes sends datagrams of every size in one packet, with and without DF,
// to a remote pod, and of many sizes elsewhere and in fragments, and compares
// what comes back.
func testSizes(t *testing.T, c field) {
	a, local, b := c.a, c.local, c.b
	capture := c.Capture()
	for name, server := range map[string]*harness.Host{
		"remote pod": &b.Host, "local pod": &local.Host, "remote node": &c.Nodes[1].Host, "world": c.World,
	} {
		t.Run(name, func(t *testing.T) {
			conn := server.UDP(7)
			defer conn.Close()
			if server == c.World { // it has yet to learn the pods' MTU
				must(t, harness.Discover(conn, unix.IP_PMTUDISC_DONT))
			}
			harness.Answer(conn)
			step := 1
			if server != &b.Host {
				step = 17
			}
			t.Run("DF", func(t *testing.T) { inOnePacket(t, &a.Host, server.Addr, unix.IP_PMTUDISC_DO, step) })
			t.Run("no DF", func(t *testing.T) { inOnePacket(t, &a.Host, server.Addr, unix.IP_PMTUDISC_DONT, step) })
			t.Run("fragments", func(t *testing.T) { fragments(t, &a.Host, server.Addr) })
			t.Run("ICMP", func(t *testing.T) { pings(t, &a.Host, server.Addr) })
			t.Run("TCP", func(t *testing.T) { segments(t, &a.Host, server) })
		})
	}
	capture.Stop(2 * maxPayload)
}

// inOnePacket tries sizes down from the largest.
func inOnePacket(t *testing.T, from *harness.Host, to netip.Addr, mode, step int) {
	conn := from.UDP(0)
	must(t, harness.Discover(conn, mode))
	for size := maxPayload; size > 0; size -= step {
		if err := harness.Echo(conn, netip.AddrPortFrom(to, 7), harness.Filler(size), soon); err != nil {
			t.Fatalf("%d bytes: %v", size, err)
		}
	}
	if mode != unix.IP_PMTUDISC_DO {
		return
	}
	if err := harness.Echo(conn, netip.AddrPortFrom(to, 7), harness.Filler(maxPayload+1), soon); err == nil {
		t.Errorf("%d bytes with DF pass although the MTU is %d", maxPayload+1, podMTU)
	}
}

func fragments(t *testing.T, from *harness.Host, to netip.Addr) {
	conn := from.UDP(0)
	must(t, harness.Discover(conn, unix.IP_PMTUDISC_DONT))
	sizes := []int{2000, 2741, 4000, 8972, 16000, 40000, 65507}
	for size := maxPayload + 1; size <= maxPayload+32; size++ {
		sizes = append(sizes, size)
	}
	for _, size := range sizes {
		if err := harness.Echo(conn, netip.AddrPortFrom(to, 7), harness.Filler(size), soon); err != nil {
			t.Fatalf("%d bytes: %v", size, err)
		}
	}
}

func pings(t *testing.T, from *harness.Host, to netip.Addr) {
	for _, size := range []int{0, 1, 56, maxPayload, maxPayload + 1, 4000, 20000} {
		if err := from.Ping(to, size, soon); err != nil {
			t.Errorf("echo of %d bytes: %v", size, err)
		}
	}
}

func segments(t *testing.T, from, to *harness.Host) {
	for i, count := range []int64{1, 2, 1359, 1360, 1361, 9000, 65536, 1 << 20} {
		port := uint16(9000 + i)
		if err := harness.Transfer(from, to, netip.AddrPortFrom(to.Addr, port), port, count); err != nil {
			t.Error(fmt.Errorf("%d bytes: %w", count, err))
		}
	}
}
