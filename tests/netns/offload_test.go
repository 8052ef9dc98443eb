package netns_test

import (
	"bytes"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/signet-cni/signet/tests/netns/harness"
)

// testSegments sends datagrams in one call, which the kernel cuts up as late
// as it can: behind the tag, or never for a pod of the same node.
func testSegments(t *testing.T, c field) {
	a, local, b := c.a, c.local, c.b
	for name, p := range map[string]path{
		"remote pod": {client: a, server: b},
		"local pod":  {client: a, server: local},
		"node":       {client: c.here, server: b},
		"world":      {client: a, server: c.world},
	} {
		t.Run(name, func(t *testing.T) {
			for _, size := range []int{100, 1000, podMTU - c.headers} {
				segmentsArrive(t, p, size)
			}
		})
	}
}

func segmentsArrive(t *testing.T, p path, size int) {
	t.Helper()
	in, out := p.server.UDP(9), p.client.UDP(0)
	defer in.Close()
	defer out.Close()
	count := min(40, 65000/size)                // in one call: less than 64 KiB
	sent := harness.Filler(count*size - size/2) // the last is shorter
	must(t, harness.SendSegments(out, netip.AddrPortFrom(p.server.Addr, 9), sent, uint16(size)))
	must(t, in.SetReadDeadline(time.Now().Add(soon)))
	buf := make([]byte, 1<<16)
	for len(sent) > 0 {
		n, err := in.Read(buf)
		if err != nil {
			t.Fatalf("%d bytes missing: %v", len(sent), err)
		}
		if want := sent[:min(size, len(sent))]; !bytes.Equal(buf[:n], want) {
			t.Fatalf("got a datagram of %d bytes, unlike the one of %d", n, len(want))
		}
		sent = sent[min(size, len(sent)):]
	}
}

// testHeaderFields: traffic class, DF and, but for the hop, TTL survive the
// tunnel in both directions of translation.
func testHeaderFields(t *testing.T, c field) {
	a, b := c.podA, c.podB
	defer b.UDP(9).Close()
	out, in := a.Frames("eth0"), b.Packets("eth0")
	for _, want := range []harness.Packet{
		{TOS: 0, Fragment: 0x4000},
		{TOS: 0xb8, Fragment: 0x4000},
		{TOS: 0x03},
		{TOS: 0xff},
		{Options: []byte{1, 1, 1, 0}, TOS: 4},
		{Options: bytes.Repeat([]byte{1}, 40), TOS: 8},
	} {
		p := harness.UDPPacket(netip.AddrPortFrom(a.Addr, 9), netip.AddrPortFrom(b.Addr, 9), []byte("fields"))
		p.TOS, p.Fragment, p.Options = want.TOS, want.Fragment, want.Options
		must(t, out.Send(a.Frame(p), 0))
		got, ok := in.Await(func(p []byte) bool { return len(p) >= 34 && bytes.HasSuffix(p[:34], []byte("fields")) }, soon)
		if !ok {
			t.Fatalf("TOS %#x, %d bytes of options: nothing arrived; %s", want.TOS, len(want.Options), c.Drops())
		}
		if got[0] != 0x45 || got[1] != want.TOS || got[6] != byte(want.Fragment>>8) || got[8] != 64 {
			t.Errorf("TOS %#x, fragment field %#x became %x", want.TOS, want.Fragment, got[:20])
		}
		if harness.Checksum(got[:20]) != 0 {
			t.Errorf("wrong header checksum in %x", got[:20])
		}
	}
}

// testWorldLearnsMTU: what is larger than the pods' MTU and must not be
// fragmented is refused on its way in with ICMP, by the node's address.
func testWorldLearnsMTU(t *testing.T, c field) {
	b := c.b
	defer b.EchoUDP(7)()
	c.Nodes[1].SetForwards(harness.Forward{Port: 30007, To: netip.AddrPortFrom(b.Addr, 7)})
	conn := c.world.UDP(0)
	must(t, harness.Discover(conn, unix.IP_PMTUDISC_WANT))
	for try := 1; ; try++ {
		err := harness.Echo(conn, netip.AddrPortFrom(c.there.Addr, 30007), harness.Filler(1500-c.headers), 300*time.Millisecond)
		if err == nil && try > 1 {
			return
		}
		if err == nil || try == 4 {
			t.Fatalf("try %d with a packet that is too large: %v", try, err)
		}
	}
}
