package netns_test

import (
	"bytes"
	"net"
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/signet-cni/signet/tests/netns/harness"
)

// TestSpoofedByPod: a pod sends only as itself, and only IP.
func TestSpoofedByPod(t *testing.T) {
	harness.Require(t)
	c := harness.NewCluster(t, 2, harness.Options{})
	n1 := c.Nodes[0]
	pod := c.AddPod(n1, harness.Role("pod"))
	local := c.AddPod(n1, harness.Role("local"))
	remote := c.AddPod(c.Nodes[1], harness.Role("remote"))
	for _, target := range []*harness.Pod{local, remote} {
		spoofed(t, c, pod, target)
	}
}

// spoofed tries to deceive a target, which has no port of its own yet.
func spoofed(t *testing.T, c *harness.Cluster, pod, target *harness.Pod) {
	t.Helper()
	target.UDP(targetPort)
	must(t, pod.Ping(target.Addr, 8, soon))
	in, out := target.Packets("eth0"), pod.Frames("eth0")
	for _, v := range spoofs(c, pod, target) {
		pod.Node.WantDrops(v.reason, func() { must(t, out.Send(v.frame, 0)) })
		if _, arrived := in.Await(isForged, wait(v.reason)); arrived != (v.reason == "none") {
			t.Errorf("%s to %s: arrived: %v", v.name, target.Addr, arrived)
		}
	}
}

type spoof struct {
	name, reason string
	frame        []byte
}

func spoofs(c *harness.Cluster, pod, target *harness.Pod) []spoof {
	honest := harness.UDPPacket(netip.AddrPortFrom(pod.Addr, 1), netip.AddrPortFrom(target.Addr, targetPort), []byte("forged"))
	with := func(change func(p *harness.Packet)) []byte {
		p := honest
		change(&p)
		return pod.Frame(p)
	}
	source := func(a netip.Addr) []byte { return with(func(p *harness.Packet) { p.Src = a }) }
	mac := bytes.Clone(pod.Frame(honest))
	mac[11] ^= 1
	tagged := append(append(bytes.Clone(mac[:6]), pod.Frame(honest)[6:12]...), 0x81, 0, 0, 7)
	tagged = append(tagged, pod.Frame(honest)[12:]...)
	return []spoof{
		{"honest", "none", pod.Frame(honest)},
		{"as nobody", "spoofed-address", source(netip.MustParseAddr("10.244.1.250"))},
		{"as the target", "spoofed-address", source(target.Addr)},
		{"as the node", "spoofed-address", source(c.Nodes[0].Addr)},
		{"as the remote node", "spoofed-address", source(c.Nodes[1].Addr)},
		{"as the world", "spoofed-address", source(c.World.Addr)},
		{"with another MAC", "spoofed-mac", mac},
		{"with a VLAN tag", "unsupported-protocol", tagged},
		{"source route", "source-route", with(func(p *harness.Packet) { p.Options = []byte{131, 7, 4, 192, 0, 2, 1, 0} })},
		{"later fragment alone", "fragment-without-first", with(func(p *harness.Packet) { p.Fragment, p.ID = 100, 99 })},
		{"unrelated ICMP error", "icmp-unrelated", with(unrelated)},
		{"truncated", "malformed", pod.Frame(honest)[:30]},
		{"to a pod that is not there", "no-endpoint", with(func(p *harness.Packet) { p.Dst = netip.MustParseAddr("10.244.1.250") })},
		{"to a node that is not there", "no-peer", with(func(p *harness.Packet) { p.Dst = netip.MustParseAddr("10.244.99.1") })},
	}
}

// TestNeighbours: a pod can neither ask nor tell the node anything by ARP.
func TestNeighbours(t *testing.T) {
	harness.Require(t)
	c := harness.NewCluster(t, 1, harness.Options{})
	n := c.Nodes[0]
	pod, victim := c.AddPod(n, harness.Role("pod")), c.AddPod(n, harness.Role("victim"))
	before := n.Neighbours()
	out := pod.Frames("eth0")
	for _, claimed := range []netip.Addr{victim.Addr, pod.Addr, netip.MustParseAddr("192.0.2.1")} {
		for op := range byte(2) {
			frame := pod.FrameOf(unix.ETH_P_ARP, arp(op+1, claimed, n.Addr))
			copy(frame, net.HardwareAddr{0xff, 0xff, 0xff, 0xff, 0xff, 0xff})
			n.WantDrops("unsupported-protocol", func() { must(t, out.Send(frame, 0)) })
		}
	}
	answered := func(p []byte) bool { return len(p) > 13 && p[12] == 8 && p[13] == 6 }
	if _, ok := out.Await(answered, never/4); ok {
		t.Error("the node answers ARP")
	}
	if after := n.Neighbours(); after != before {
		t.Errorf("neighbours before: %s\nafter: %s", before, after)
	}
	must(t, n.Ping(victim.Addr, 8, soon))
}

// arp builds an Ethernet ARP packet (RFC 826) with a MAC of nobody.
func arp(op byte, from, about netip.Addr) []byte {
	mac := []byte{2, 6, 6, 6, 6, 6}
	p := append([]byte{0, 1, 8, 0, 6, 4, 0, op}, mac...)
	p = append(append(p, from.AsSlice()...), mac...)
	return append(p, about.AsSlice()...)
}

// TestPlaintextFromUnderlay: what claims a pod's address and did not come by
// the tunnel is dropped, whoever forwards it.
func TestPlaintextFromUnderlay(t *testing.T) {
	harness.Require(t)
	c := harness.NewCluster(t, 2, harness.Options{})
	n1 := c.Nodes[0]
	pod := c.AddPod(n1, harness.Role("pod"))
	neighbour := c.AddPod(n1, harness.Role("neighbour"))
	remote := c.AddPod(c.Nodes[1], harness.Role("remote"))
	pod.UDP(targetPort)
	talk := harness.Converse(t, &pod.Host, &remote.Host, netip.AddrPortFrom(remote.Addr, 80), 80)
	in, out := pod.Packets("eth0"), c.UnderlayTap(n1)
	for name, p := range map[string]harness.Packet{
		"remote pod":           udpTo(pod, remote.Addr, 9),
		"local pod":            udpTo(pod, neighbour.Addr, 9),
		"pod of no known node": udpTo(pod, netip.MustParseAddr("10.244.200.5"), 9),
		"answer of the open flow": harness.TCPPacket(netip.AddrPortFrom(remote.Addr, 80),
			netip.MustParseAddrPort(talk.Local()), 0x10),
	} {
		n1.WantDrops(reasonOf(name), func() { must(t, out.Send(n1.UnderlayFrame(p), 0)) })
		if _, arrived := in.Await(isForged, never/10); arrived {
			t.Errorf("%s: arrived", name)
		}
	}
	must(t, talk.Say(soon))
}

func reasonOf(claim string) string {
	if claim == "local pod" {
		return "spoofed-address"
	}
	return "untrusted-path"
}

func udpTo(pod *harness.Pod, from netip.Addr, port uint16) harness.Packet {
	return harness.UDPPacket(netip.AddrPortFrom(from, port), netip.AddrPortFrom(pod.Addr, targetPort), []byte("forged"))
}
