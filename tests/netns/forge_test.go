package netns_test

import (
	"encoding/binary"
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/signet-cni/signet/enforce/policy"
	"github.com/signet-cni/signet/identity"
	"github.com/signet-cni/signet/overlay"
	"github.com/signet-cni/signet/overlay/wire"
	"github.com/signet-cni/signet/tests/netns/harness"
)

// forger is a node in other hands: it holds a valid key, and sends into the
// tunnel what it likes.
type forger struct {
	t        *testing.T
	node     *harness.Node
	tap      *harness.Tap
	target   *harness.Pod
	from, to netip.Prefix
	src      netip.AddrPort // of an honest packet
	id       identity.ID
}

// forgery is one packet, as it differs from an honest one.
type forgery struct {
	name   string
	reason string // the drop's name; "none" if it is to arrive
	change func(f *forger)
	inner  func(p *harness.Packet)
	outer  func(packet []byte)
}

const targetPort = 7000

// send builds and sends the packet. The change is to a copy.
func (f forger) send(v forgery) {
	if v.change != nil {
		v.change(&f)
	}
	p := harness.UDPPacket(f.src, netip.AddrPortFrom(f.target.Addr, targetPort), []byte("forged"))
	if v.inner != nil {
		v.inner(&p)
	}
	packet, err := wire.Encode(p.Bytes(), wire.Route{From: f.from, To: f.to, Identity: uint32(f.id)})
	must(f.t, err)
	if v.outer != nil {
		v.outer(packet)
	}
	must(f.t, f.tap.Send(packet, unix.ETH_P_IPV6))
}

// setAux writes the aux bits, with the checksum adjustment that fits.
func setAux(packet []byte, aux uint16) {
	at := func(offset int) netip.Prefix {
		return netip.PrefixFrom(netip.AddrFrom16([16]byte(packet[offset:])), 64).Masked()
	}
	identity := binary.BigEndian.Uint32(packet[16:])
	binary.BigEndian.PutUint16(packet[32:], overlay.Adjust(at(8), at(24), identity, aux))
	binary.BigEndian.PutUint16(packet[34:], aux)
}

// TestForgedPackets: WireGuard vouches for the node that sends; the programs
// refuse whatever else is wrong, and say why.
func TestForgedPackets(t *testing.T) {
	harness.Require(t)
	c := harness.NewCluster(t, 3, harness.Options{})
	target := c.AddPod(c.Nodes[0], harness.Role("target"))
	closed := c.AddPod(c.Nodes[0], harness.Role("closed"))
	honest := c.AddPod(c.Nodes[1], harness.Role("honest"))
	other := c.AddPod(c.Nodes[2], harness.Role("other"))
	c.SetPolicies(ingress("closed", policy.Rule{Peers: peers("other")}))
	target.UDP(targetPort)
	closed.UDP(targetPort)
	must(t, honest.Ping(target.Addr, 8, soon)) // the handshake is done
	f := forger{
		t: t, node: c.Nodes[1], tap: c.Nodes[1].Packets(overlay.DefaultDevice), target: target,
		from: c.Nodes[1].Prefix(), to: c.Nodes[0].Prefix(),
		src: netip.AddrPortFrom(honest.Addr, targetPort), id: honest.Identity,
	}
	must(t, f.node.ClaimPrefix(c.Nodes[0], c.Nodes[2].Prefix()))
	in := target.Packets("eth0")
	for _, v := range forgeries(c, honest, other, closed) {
		t.Run(v.name, func(t *testing.T) {
			c.Nodes[0].WantDrops(v.reason, func() { f.send(v) })
			_, arrived := in.Await(isForged, wait(v.reason))
			if arrived != (v.reason == "none") {
				t.Errorf("arrived: %v", arrived)
			}
		})
	}
	t.Run("another node's prefix as source", func(t *testing.T) {
		c.Nodes[0].WantDrops("none", func() {
			f.send(forgery{change: func(f *forger) { f.from, f.src = c.Nodes[2].Prefix(), netip.AddrPortFrom(other.Addr, 1) }})
		})
		if _, arrived := in.Await(isForged, never); arrived {
			t.Error("WireGuard lets a node speak for another")
		}
	})
}

func isForged(p []byte) bool { return len(p) >= 34 && string(p[28:34]) == "forged" }

// forgeries lists the cases. Addresses are at 8 and 24 of the IPv6 header.
func forgeries(c *harness.Cluster, honest, other, closed *harness.Pod) []forgery {
	node1, node2 := c.Nodes[0], c.Nodes[1]
	source := func(a netip.Addr) func(*harness.Packet) { return func(p *harness.Packet) { p.Src = a } }
	identified := func(id identity.ID) func(*forger) { return func(f *forger) { f.id = id } }
	asNode := func(id identity.ID) func(*forger) {
		return func(f *forger) { f.id, f.src = id, netip.AddrPortFrom(node2.Addr, 9) }
	}
	return []forgery{
		{name: "honest", reason: "none"},
		{name: "honest, with DF", reason: "none", inner: func(p *harness.Packet) { p.Fragment = 0x4000 }},
		{name: "honest, of the node", reason: "none", change: asNode(identity.Host)},
		{name: "honest, of the world behind the node", reason: "none", change: asNode(identity.World)},
		{name: "prefix of a third node", reason: "tunnel-prefix", change: func(f *forger) { f.to = c.Nodes[2].Prefix() }},
		{name: "source of the target's node", reason: "tunnel-source", inner: source(closed.Addr)},
		{name: "source of a third node", reason: "tunnel-source", inner: source(other.Addr)},
		{name: "source of the world", reason: "tunnel-source", inner: source(c.World.Addr)},
		{name: "address of the target's node", reason: "tunnel-source", inner: source(node1.Addr)},
		{name: "pod as unknown", reason: "tunnel-identity", change: identified(identity.Unknown)},
		{name: "pod as host", reason: "tunnel-identity", change: identified(identity.Host)},
		{name: "pod as remote node", reason: "tunnel-identity", change: identified(identity.RemoteNode)},
		{name: "pod as world", reason: "tunnel-identity", change: identified(identity.World)},
		{name: "pod as reserved", reason: "tunnel-identity", change: identified(200)},
		{name: "node as pod", reason: "tunnel-identity", change: asNode(honest.Identity)},
		{name: "node as remote node", reason: "tunnel-identity", change: asNode(identity.RemoteNode)},
		{name: "identity that nobody has", reason: "unknown-identity", change: identified(0xdeadbeef)},
		{name: "aux bit 2", reason: "tunnel-aux", outer: func(p []byte) { setAux(p, 4) }},
		{name: "aux bit 15", reason: "tunnel-aux", outer: func(p []byte) { setAux(p, 0x8000) }},
		{name: "wrong adjustment", reason: "tunnel-checksum", outer: func(p []byte) { p[33] ^= 1 }},
		{name: "the other zero", reason: "tunnel-checksum", outer: func(p []byte) { p[32], p[33] = 0xff, 0xff }},
		{name: "reply without a flow", reason: "reply-without-flow", outer: func(p []byte) { setAux(p, 2) }},
		{name: "too short for ports", reason: "malformed", outer: func(p []byte) { p[5] = 3 }},
		{name: "flow label", reason: "malformed", outer: func(p []byte) { p[3] = 1 }},
		{name: "hop-by-hop options", reason: "unsupported-protocol", outer: func(p []byte) { p[6] = 0 }},
		{name: "later fragment alone", reason: "fragment-without-first", inner: func(p *harness.Packet) { p.ID, p.Fragment = 77, 100 }},
		{name: "unrelated ICMP error", reason: "icmp-unrelated", inner: unrelated},
		{name: "to nobody", reason: "no-endpoint", inner: func(p *harness.Packet) { p.Dst = netip.MustParseAddr("10.244.1.250") }},
		{name: "to a third node's pod", reason: "no-endpoint", inner: func(p *harness.Packet) { p.Dst = other.Addr }},
		{name: "to the world", reason: "no-endpoint", inner: func(p *harness.Packet) { p.Dst = c.World.Addr }},
		{name: "against policy", reason: "policy-ingress", inner: func(p *harness.Packet) { p.Dst = closed.Addr }},
		{name: "honest again", reason: "none"},
	}
}

// unrelated makes an error about a packet that the target never sent.
func unrelated(p *harness.Packet) {
	quoted := harness.UDPPacket(netip.AddrPortFrom(p.Dst, 1), netip.AddrPortFrom(p.Src, 2), nil)
	*p = harness.ICMPError(p.Src, p.Dst, quoted.Bytes())
}

// TestForgedReplies: a vouched reply is believed of the node and the ends of an
// open flow only, and opens nothing when the flow is another.
func TestForgedReplies(t *testing.T) {
	harness.Require(t)
	c := harness.NewCluster(t, 3, harness.Options{})
	target := c.AddPod(c.Nodes[0], harness.Role("target"))
	honest := c.AddPod(c.Nodes[1], harness.Role("honest"))
	third := c.AddPod(c.Nodes[2], harness.Role("third"))
	c.SetPolicies(ingress("target"))
	asked := target.UDP(targetPort)
	for _, to := range []*harness.Pod{honest, third} { // to no socket: refused
		_, err := asked.WriteToUDPAddrPort([]byte("x"), netip.AddrPortFrom(to.Addr, 5))
		must(t, err)
	}
	must(t, target.Ping(honest.Addr, 8, soon))
	f := forger{
		t: t, node: c.Nodes[1], tap: c.Nodes[1].Packets(overlay.DefaultDevice), target: target,
		from: c.Nodes[1].Prefix(), to: c.Nodes[0].Prefix(), id: honest.Identity,
	}
	reply := func(p []byte) { setAux(p, 2) }
	from := func(a netip.Addr, port uint16) func(*forger) {
		return func(f *forger) { f.src = netip.AddrPortFrom(a, port) }
	}
	in := target.Packets("eth0")
	for _, v := range []forgery{
		{name: "the answer", reason: "none", change: from(honest.Addr, 5), outer: reply},
		{name: "an answer that is not vouched", reason: "policy-ingress", change: from(honest.Addr, 5)},
		{name: "from another port", reason: "reply-without-flow", change: from(honest.Addr, 6), outer: reply},
		{name: "for another node", reason: "tunnel-source", change: from(third.Addr, 5), outer: reply},
	} {
		t.Run(v.name, func(t *testing.T) {
			c.Nodes[0].WantDrops(v.reason, func() { f.send(v) })
			if _, arrived := in.Await(isForged, wait(v.reason)); arrived != (v.reason == "none") {
				t.Errorf("arrived: %v", arrived)
			}
		})
	}
}
