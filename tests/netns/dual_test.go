package netns_test

import (
	"encoding/binary"
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/signet-cni/signet/tests/netns/harness"
)

// TestUnderlays: pods have both families whatever the nodes' network has. In
// the other family a node speaks from its pod range.
func TestUnderlays(t *testing.T) {
	harness.Require(t)
	for name, underlay := range map[string]harness.Underlay{"IPv4": harness.OnlyIPv4, "IPv6": harness.OnlyIPv6} {
		t.Run(name, func(t *testing.T) {
			c := harness.NewCluster(t, 2, harness.Options{Underlay: underlay})
			a, local := c.AddPod(c.Nodes[0], harness.Role("a")), c.AddPod(c.Nodes[0], harness.Role("local"))
			b := c.AddPod(c.Nodes[1], harness.Role("b"))
			for family, ipv6 := range map[string]bool{"IPv4": false, "IPv6": true} {
				t.Run(family+" pods", func(t *testing.T) { underlayCarries(t, fieldOf(c, a, local, b, ipv6), family == name) })
			}
		})
	}
}

// underlayCarries tries every way that does not leave the cluster, and the
// world if the underlay has its family.
func underlayCarries(t *testing.T, c field, world bool) {
	capture := c.Capture()
	paths := []path{
		{"pod to remote pod", c.a, c.b},
		{"pod to local pod", c.a, c.local},
		{"pod to remote node", c.a, c.there},
		{"remote node to pod", c.there, c.a},
		{"pod to its node", c.a, c.here},
		{"node to its pod", c.here, c.a},
	}
	if world {
		paths = append(paths, path{"pod to world", c.a, c.world})
	}
	for _, p := range paths {
		t.Run(p.name, p.check)
	}
	capture.Stop(100)
}

// icmp6 builds a packet of ICMPv6 (RFC 4443), with hop limit 255, as neighbour
// discovery wants it.
func icmp6(src, dst netip.Addr, kind byte, body []byte) []byte {
	return harness.IPv6Packet(src, dst, unix.IPPROTO_ICMPV6, append([]byte{kind, 0, 0, 0}, body...))
}

// Of neighbour discovery, RFC 4861 section 4.
const (
	routerSolicitation    = 133
	routerAdvertisement   = 134
	neighbourSolicitation = 135
	neighbourAdvertise    = 136
	redirect              = 137
	listenerReport        = 143 // RFC 3810
)

// lies are what a pod could say of others with the MAC of nobody.
func lies(about netip.Addr, from netip.Addr) map[string][]byte {
	allNodes, allRouters := netip.MustParseAddr("ff02::1"), netip.MustParseAddr("ff02::2")
	mac := []byte{2, 6, 6, 6, 6, 6}
	source, target := append([]byte{1, 1}, mac...), append([]byte{2, 1}, mac...) // options
	named := func(flags uint32, option []byte) []byte {
		return append(append(binary.BigEndian.AppendUint32(nil, flags), about.AsSlice()...), option...)
	}
	router := append([]byte{64, 0, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 0}, source...) // lives long
	router = append(router, 3, 4, 64, 0xc0, 0, 0, 0xff, 0xff, 0, 0, 0xff, 0xff, 0, 0, 0, 0)
	router = append(router, netip.MustParseAddr("2001:db8:bad::").AsSlice()...)
	return map[string][]byte{
		"router solicitation":     icmp6(from, allRouters, routerSolicitation, append(make([]byte, 4), source...)),
		"router advertisement":    icmp6(from, allNodes, routerAdvertisement, router),
		"neighbour solicitation":  icmp6(from, allNodes, neighbourSolicitation, named(0, source)),
		"neighbour advertisement": icmp6(from, allNodes, neighbourAdvertise, named(0x60000000, target)),
		"redirect":                icmp6(from, about, redirect, append(named(0, nil), append(about.AsSlice(), target...)...)),
		"listener report":         icmp6(from, netip.MustParseAddr("ff02::16"), listenerReport, make([]byte, 4)),
	}
}

// TestNeighbours6: a pod can neither ask nor tell anybody anything by neighbour
// discovery, as itself, as its gateway or as another.
func TestNeighbours6(t *testing.T) {
	harness.Require(t)
	c := harness.NewCluster(t, 2, harness.Options{})
	n := c.Nodes[0]
	pod, victim := c.AddPod(n, harness.Role("pod")), c.AddPod(n, harness.Role("victim"))
	remote := c.AddPod(c.Nodes[1], harness.Role("remote"))
	gateway := netip.MustParseAddr("fe80::1")
	before := []string{n.Neighbours(), victim.Neighbours(), n.Routes6(), victim.Routes6()}
	out, in, wire := pod.Frames("eth0"), victim.Packets("eth0"), c.UnderlayTap(n)
	for _, from := range []netip.Addr{gateway, pod.Addr6, victim.Addr6, netip.MustParseAddr("fe80::bad")} {
		for name, packet := range lies(victim.Addr6, from) {
			frame := pod.FrameOf(unix.ETH_P_IPV6, packet)
			n.WantDrops("link-local", func() { must(t, out.Send(frame, 0)) })
			copy(frame, []byte{0x33, 0x33, 0, 0, 0, 1})
			n.WantDrops("link-local", func() { must(t, out.Send(frame, 0)) })
			if t.Failed() {
				t.Fatalf("%s from %s", name, from)
			}
		}
	}
	lie := func(p []byte) bool {
		return len(p) > 40 && p[6] == unix.IPPROTO_ICMPV6 && p[40] >= routerSolicitation && p[40] <= redirect
	}
	if p, ok := in.Await(lie, never/4); ok {
		t.Errorf("another pod hears %x", p)
	}
	if p, ok := wire.Await(func(p []byte) bool {
		return len(p) > 14 && lie(p[14:]) && netip.AddrFrom16([16]byte(p[22:38])) != n.Addr6 && p[22] != 0xfe
	}, never/4); ok {
		t.Errorf("the underlay hears %x", p)
	}
	for i, now := range []string{n.Neighbours(), victim.Neighbours(), n.Routes6(), victim.Routes6()} {
		if now != before[i] {
			t.Errorf("before: %s\nafter: %s", before[i], now)
		}
	}
	must(t, n.IPv6().Ping(victim.Addr6, 8, soon))
	must(t, victim.IPv6().Ping(remote.Addr6, 8, soon))
}

// TestSpoofedByPod6 is TestSpoofedByPod of IPv6.
func TestSpoofedByPod6(t *testing.T) {
	harness.Require(t)
	c := harness.NewCluster(t, 2, harness.Options{})
	n1 := c.Nodes[0]
	pod, local := c.AddPod(n1, harness.Role("pod")), c.AddPod(n1, harness.Role("local"))
	remote := c.AddPod(c.Nodes[1], harness.Role("remote"))
	for _, target := range []*harness.Pod{local, remote} {
		target.IPv6().UDP(targetPort)
		must(t, pod.IPv6().Ping(target.Addr6, 8, soon))
		in, out := target.Packets("eth0"), pod.Frames("eth0")
		for _, v := range spoofs6(c, pod, target) {
			n1.WantDrops(v.reason, func() { must(t, out.Send(v.frame, 0)) })
			if _, arrived := in.Await(isForged6, wait(v.reason)); arrived != (v.reason == "none") {
				t.Errorf("%s to %s: arrived: %v", v.name, target.Addr6, arrived)
			}
		}
	}
}

func isForged6(p []byte) bool { return len(p) >= 54 && string(p[48:54]) == "forged" }

func spoofs6(c *harness.Cluster, pod, target *harness.Pod) []spoof {
	packet := func(src, dst netip.Addr) []byte {
		return pod.FrameOf(unix.ETH_P_IPV6, udp6(netip.AddrPortFrom(src, 1), netip.AddrPortFrom(dst, targetPort), []byte("forged")))
	}
	from := func(src netip.Addr) []byte { return packet(src, target.Addr6) }
	to := func(dst string) []byte { return packet(pod.Addr6, netip.MustParseAddr(dst)) }
	tagged := pod.Addr6.As16()
	binary.BigEndian.PutUint32(tagged[8:], uint32(target.Identity))
	mac := from(pod.Addr6)
	mac[11] ^= 1
	return []spoof{
		{"honest", "none", from(pod.Addr6)},
		{"as nobody", "spoofed-address", from(netip.MustParseAddr("fd10:244:0:1::fafa"))},
		{"as the target", "spoofed-address", from(target.Addr6)},
		{"as itself with an identity", "spoofed-address", from(netip.AddrFrom16(tagged))},
		{"as the first number of its range", "spoofed-address", from(netip.MustParseAddr("fd10:244:0:1::1"))},
		{"as the node", "spoofed-address", from(c.Nodes[0].Addr6)},
		{"as the remote node", "spoofed-address", from(c.Nodes[1].Addr6)},
		{"as the world", "spoofed-address", from(c.World.Addr6)},
		{"as a tunnel address", "spoofed-address", from(netip.MustParseAddr("fd51:a2b3:af4:100::1"))},
		{"with another MAC", "spoofed-mac", mac},
		{"to a pod that is not there", "no-endpoint", to("fd10:244:0:1::fafa")},
		{"to a node that is not there", "no-peer", to("fd10:244:0:99::10")},
		{"to a tunnel address", "no-peer", to("fd51:a2b3:af4:200::1")},
		{"to everybody", "link-local", to("ff02::1")},
		{"to its gateway", "link-local", to("fe80::1")},
		{"truncated", "malformed", from(pod.Addr6)[:50]},
	}
}

// udp6 builds a packet of UDP over IPv6 with a right checksum.
func udp6(src, dst netip.AddrPort, payload []byte) []byte {
	u := binary.BigEndian.AppendUint16(nil, src.Port())
	u = binary.BigEndian.AppendUint16(u, dst.Port())
	u = binary.BigEndian.AppendUint16(u, uint16(8+len(payload)))
	u = append(append(u, 0, 0), payload...)
	pseudo := append(src.Addr().AsSlice(), dst.Addr().AsSlice()...) // RFC 8200 section 8.1
	pseudo = binary.BigEndian.AppendUint32(pseudo, uint32(len(u)))
	pseudo = append(pseudo, 0, 0, 0, unix.IPPROTO_UDP)
	binary.BigEndian.PutUint16(u[6:], harness.Checksum(append(pseudo, u...)))
	return harness.IPv6Packet(src.Addr(), dst.Addr(), unix.IPPROTO_UDP, u)
}
