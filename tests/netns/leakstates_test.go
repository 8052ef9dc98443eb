package netns_test

import (
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/signet-cni/signet/tests/netns/harness"
)

// sendJunk has pod a send, from its own address, what opens no flow or is no
// IPv4, to everybody whom its node knows, or knew lately.
func sendJunk(t *testing.T, f *leakField) {
	t.Helper()
	out := f.a.Frames("eth0")
	for _, to := range []netip.Addr{f.b.Addr, f.n2.Addr, f.World.Addr, netip.MustParseAddr("10.244.77.7")} {
		far := netip.AddrPortFrom(to, 4000)
		near := netip.AddrPortFrom(f.a.Addr, 4001)
		for _, p := range []harness.Packet{
			harness.TCPPacket(near, far, 0x10), // ACK of no connection
			harness.TCPPacket(near, far, 0x04), // RST
			{Src: f.a.Addr, Dst: to, Protocol: unix.IPPROTO_UDP, ID: 5, Fragment: 100, Payload: harness.Filler(64)},
			{Src: f.a.Addr, Dst: to, Protocol: unix.IPPROTO_GRE, Payload: make([]byte, 64)},
			{Src: f.a.Addr, Dst: to, Protocol: unix.IPPROTO_SCTP, Payload: make([]byte, 64)},
			harness.ICMPError(f.a.Addr, to, harness.UDPPacket(far, near, nil).Bytes()),
			harness.UDPPacket(netip.AddrPortFrom(f.b.Addr, 1), far, []byte("as another")),
		} {
			must(t, out.Send(f.a.Frame(p), 0))
		}
	}
	for _, p := range harness.LinkLocal(netip.MustParseAddr("fe80::1")) {
		must(t, out.Send(f.a.FrameOf(unix.ETH_P_IPV6, p), 0))
	}
}

// churn starts and stops pods on both nodes while others send to every address
// that they may get.
func (f *leakField) churn(t *testing.T) {
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		sprinkle(f, stop)
	}()
	rounds := 6
	if testing.Short() {
		rounds = 2
	}
	for range rounds {
		for _, n := range []*harness.Node{f.n1, f.n2} {
			p := f.AddPod(n, harness.Role("short"))
			err := p.Ping(f.a.Addr, 56, soon)
			if err != nil { // lost in the crowd, once
				err = p.Ping(f.a.Addr, 56, soon)
			}
			if err != nil {
				t.Errorf("%s: %v; %s", p.Name, err, f.Drops())
			}
			_ = p.EchoOnce(netip.AddrPortFrom(f.b.Addr, 7), []byte("its last"), 0) // the answer meets no pod
			must(t, f.RemovePod(p))
		}
	}
	close(stop)
	<-stopped
}

// sprinkle sends datagrams from everywhere to the first addresses of both
// ranges for pods.
func sprinkle(f *leakField, stop <-chan struct{}) {
	var from []interface {
		WriteToUDPAddrPort(b []byte, to netip.AddrPort) (int, error)
	}
	for _, h := range []*harness.Host{&f.a.Host, &f.b.Host, &f.n1.Host, &f.n2.Host} {
		from = append(from, h.UDP(0))
	}
	for i := byte(0); ; i++ {
		select {
		case <-stop:
			return
		case <-time.After(5 * time.Millisecond): // not to crowd the tunnel
		}
		for node := byte(1); node <= 2; node++ {
			to := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 244, node, 2 + i%16}), 7)
			for _, conn := range from {
				_, _ = conn.WriteToUDPAddrPort([]byte("anybody?"), to) // refused, perhaps
			}
		}
	}
}

// nodeAdded: a node knows the others before they know it, and they it before
// its pods are there.
func nodeAdded(t *testing.T, f *leakField) {
	pod := f.AddPod(f.late, harness.Role("c"))
	pod.EchoUDP(7)
	f.late.EchoUDP(7)
	silentAll := func(more ...[2]*harness.Host) {
		t.Helper()
		for _, ends := range append(more, [][2]*harness.Host{
			{&f.a.Host, &pod.Host}, {&f.n1.Host, &pod.Host}, {&pod.Host, &f.a.Host}, {&f.late.Host, &f.a.Host},
		}...) {
			if ends[0].EchoOnce(netip.AddrPortFrom(ends[1].Addr, 7), harness.Filler(3000), never) == nil {
				t.Errorf("%s reaches %s", ends[0].Addr, ends[1].Addr)
			}
		}
	}
	silentAll() // nobody knows anybody
	f.Announce(f.late)
	must(t, f.n1.SyncWith(f.n2))
	for _, family := range families {
		from, to := family.of(&f.a.Host), family.of(&f.late.Host)
		f.n1.WantDrops("no-peer", func() { silent(t, from, at(to, 7)) })
	}
	must(t, f.late.SyncWith(f.n1, f.n2))
	toNode := [2]*harness.Host{&pod.Host, &f.n1.Host} // before, the address was the world's
	silentAll(toNode)                                 // it knows them
	must(t, f.n1.SyncWith(f.n2, f.late))
	must(t, f.n2.SyncWith(f.n1, f.late))
	for _, to := range []*harness.Host{&pod.Host, &f.late.Host} {
		must(t, f.a.EchoOnce(netip.AddrPortFrom(to.Addr, 7), harness.Filler(3000), soon))
	}
	must(t, f.n1.SyncWith(f.n2)) // and it is removed
	must(t, f.n2.SyncWith(f.n1))
	silentAll(toNode, [2]*harness.Host{&f.a.Host, &f.late.Host}, [2]*harness.Host{f.a.IPv6(), f.late.IPv6()})
}

// reusedRange: a node is removed, goes on, and another has its pods' range.
func reusedRange(t *testing.T, f *leakField) {
	pod := f.AddPod(f.heir, harness.Role("d"))
	pod.EchoUDP(7)
	must(t, f.n1.SyncWith(f.heir))
	must(t, f.heir.SyncWith(f.n1))
	must(t, f.a.EchoOnce(netip.AddrPortFrom(pod.Addr, 7), harness.Filler(3000), soon))
	must(t, pod.EchoOnce(netip.AddrPortFrom(f.a.Addr, 7), harness.Filler(3000), soon))
	silent(t, &f.b.Host, netip.AddrPortFrom(f.a.Addr, 7))
	sendJunk(t, f)
	must(t, f.n1.SyncWith(f.n2))
}

// booted: only what outlives the agent and a boot holds; a proxy forwards to
// pods already.
func booted(t *testing.T, f *leakField) {
	n, pod := f.booted, netip.AddrPortFrom(f.b.Addr, 7)
	n.SetForwards(harness.Forward{Port: nodePort, To: pod, Masquerade: true})
	n.WantDrops(outside, func() {
		if n.EchoOnce(pod, []byte("x"), never) == nil {
			t.Error("a process reaches a remote pod")
		}
	})
	n.WantDrops(outside, func() {
		if f.World.EchoOnce(netip.AddrPortFrom(n.Addr, nodePort), []byte("x"), never) == nil {
			t.Error("a NodePort leads to a remote pod")
		}
	})
}
