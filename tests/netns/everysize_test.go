package netns_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/signet-cni/signet/tests/netns/harness"
)

// largest is the largest size that TestEverySize sends, in bytes.
const largest = 9000

// TestEverySize sends every size from 1 to 9,000 bytes between pods of two
// nodes, over underlays from the narrowest to jumbo frames, in both families
// where the underlay has room for IPv6, and compares what comes back. With
// -short, or on an underlay of 1500, which testSizes covers, not every size is
// sent.
func TestEverySize(t *testing.T) {
	harness.Require(t)
	for _, underlay := range []int{1280, 1500, largest} {
		t.Run(fmt.Sprint(underlay), func(t *testing.T) {
			step := 1
			switch {
			case testing.Short():
				step = 111
			case underlay == 1500:
				step = 37
			}
			c := harness.NewCluster(t, 2, harness.Options{UnderlayMTU: underlay})
			a, b := c.AddPod(c.Nodes[0], harness.Role("a")), c.AddPod(c.Nodes[1], harness.Role("b"))
			t.Run("IPv4", func(t *testing.T) { sizesArrive(t, c, &a.Host, &b.Host, c.Nodes[0].Plan.MTU.Pods-28, step) })
			if c.Nodes[0].Plan.Address6.IsValid() {
				t.Run("IPv6", func(t *testing.T) { sizesArrive(t, c, a.IPv6(), b.IPv6(), c.Nodes[0].Plan.MTU.Pods-48, step) })
			}
		})
	}
}

// sizesArrive sends UDP of up to most bytes in one packet, and more in fragments
// and segments, and TCP.
func sizesArrive(t *testing.T, c *harness.Cluster, a, b *harness.Host, most, step int) {
	capture := c.Capture()
	defer b.EchoUDP(7)()
	t.Run("UDP", func(t *testing.T) { everySize(t, a, b, unix.IP_PMTUDISC_DONT, largest, step) })
	t.Run("UDP with DF", func(t *testing.T) {
		everySize(t, a, b, unix.IP_PMTUDISC_DO, most, step)
		conn := a.UDP(0)
		must(t, harness.Discover(conn, unix.IP_PMTUDISC_DO))
		_, err := conn.WriteToUDPAddrPort(harness.Filler(most+1), netip.AddrPortFrom(b.Addr, 7))
		if !errors.Is(err, unix.EMSGSIZE) {
			t.Errorf("%d bytes with DF: %v, want %v", most+1, err, unix.EMSGSIZE)
		}
	})
	t.Run("UDP segments", func(t *testing.T) {
		for _, size := range []int{1, most / 2, most} {
			segmentsArrive(t, path{client: a, server: b}, max(size, 40))
		}
	})
	t.Run("TCP", func(t *testing.T) { everyWrite(t, a, b, step) })
	capture.Stop(largest / step)
}

func everySize(t *testing.T, from, to *harness.Host, mode, most, step int) {
	t.Helper()
	conn := from.UDP(0)
	must(t, harness.Discover(conn, mode))
	for size := 1; size <= most; size += step {
		if err := harness.Echo(conn, netip.AddrPortFrom(to.Addr, 7), harness.Filler(size), soon); err != nil {
			t.Fatalf("%d bytes: %v", size, err)
		}
	}
}

// everyWrite sends every size over one connection, which sends it back.
func everyWrite(t *testing.T, from, to *harness.Host, step int) {
	t.Helper()
	l := to.Listen(8)
	go func() {
		if conn, err := l.Accept(); err == nil {
			_, _ = io.Copy(conn, conn) // the client notices
			_ = conn.Close()
		}
	}()
	conn, err := from.Dial(netip.AddrPortFrom(to.Addr, 8), soon)
	must(t, err)
	defer conn.Close()
	for size := 1; size <= largest; size += step {
		sent, got := harness.Filler(size), make([]byte, size)
		if _, err := conn.Write(sent); err != nil {
			t.Fatalf("%d bytes: %v", size, err)
		}
		if _, err := io.ReadFull(conn, got); err != nil || !bytes.Equal(sent, got) {
			t.Fatalf("%d bytes: came back different, or not at all: %v", size, err)
		}
	}
}
