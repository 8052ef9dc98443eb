package netns_test

import (
	"fmt"
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/signet-cni/signet/tests/netns/harness"
)

// Sizes in bytes on an underlay of 1500.
const podMTU = 1400

// testSizes sends datagrams of every size in one packet, with and without DF,
// to a remote pod, and of many sizes elsewhere and in fragments, and compares
// what comes back. With -short no path gets every size.
func testSizes(t *testing.T, c field) {
	a, local, b := c.a, c.local, c.b
	capture := c.Capture()
	for name, server := range map[string]*harness.Host{
		"remote pod": b, "local pod": local, "remote node": c.there, "world": c.world,
	} {
		t.Run(name, func(t *testing.T) {
			conn := server.UDP(7)
			defer conn.Close()
			if server == c.world { // it has yet to learn the pods' MTU
				must(t, harness.Discover(conn, unix.IP_PMTUDISC_DONT))
			}
			harness.Answer(conn)
			step := 1
			if server != b || testing.Short() {
				step = 17
			}
			if server == c.world && server.Addr.Is6() { // no router fragments for it
				_ = a.Ping(server.Addr, podMTU, never)
			}
			most := podMTU - c.headers
			t.Run("DF", func(t *testing.T) { inOnePacket(t, a, server.Addr, unix.IP_PMTUDISC_DO, most, step) })
			t.Run("no DF", func(t *testing.T) { inOnePacket(t, a, server.Addr, unix.IP_PMTUDISC_DONT, most, step) })
			t.Run("fragments", func(t *testing.T) { fragments(t, a, server.Addr, most) })
			t.Run("ICMP", func(t *testing.T) { pings(t, a, server.Addr, most) })
			t.Run("TCP", func(t *testing.T) { segments(t, a, server) })
		})
	}
	capture.Stop(2 * podMTU / 20)
}

// inOnePacket tries sizes down from the largest payload.
func inOnePacket(t *testing.T, from *harness.Host, to netip.Addr, mode, most, step int) {
	conn := from.UDP(0)
	must(t, harness.Discover(conn, mode))
	for size := most; size > 0; size -= step {
		if err := harness.Echo(conn, netip.AddrPortFrom(to, 7), harness.Filler(size), soon); err != nil {
			t.Fatalf("%d bytes: %v", size, err)
		}
	}
	if mode != unix.IP_PMTUDISC_DO {
		return
	}
	if err := harness.Echo(conn, netip.AddrPortFrom(to, 7), harness.Filler(most+1), soon); err == nil {
		t.Errorf("%d bytes with DF pass although the MTU is %d", most+1, podMTU)
	}
}

func fragments(t *testing.T, from *harness.Host, to netip.Addr, most int) {
	conn := from.UDP(0)
	must(t, harness.Discover(conn, unix.IP_PMTUDISC_DONT))
	sizes := []int{2000, 2741, 4000, 8972, 16000, 40000, 65507}
	for size := most + 1; size <= most+32; size++ {
		sizes = append(sizes, size)
	}
	for _, size := range sizes {
		if err := harness.Echo(conn, netip.AddrPortFrom(to, 7), harness.Filler(size), soon); err != nil {
			t.Fatalf("%d bytes: %v", size, err)
		}
	}
}

func pings(t *testing.T, from *harness.Host, to netip.Addr, most int) {
	for _, size := range []int{0, 1, 56, most, most + 1, 4000, 20000} {
		if err := from.Ping(to, size, soon); err != nil {
			t.Errorf("echo of %d bytes: %v", size, err)
		}
	}
}

func segments(t *testing.T, from, to *harness.Host) {
	for i, count := range []int64{1, 2, 1359, 1360, 1361, 9000, 65536, bulk()} {
		port := uint16(9000 + i)
		if err := harness.Transfer(from, to, netip.AddrPortFrom(to.Addr, port), port, count); err != nil {
			t.Error(fmt.Errorf("%d bytes: %w", count, err))
		}
	}
}
