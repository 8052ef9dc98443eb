package datapath

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/gopacket/gopacket/layers"

	"github.com/signet-cni/signet/enforce/policy"
	"github.com/signet-cni/signet/enforce/service"
	"github.com/signet-cni/signet/overlay/wire"
)

// describe gives the outcome and, of a packet that goes on, its ends after
// translation. It fails the test if a checksum is wrong.
func (n *node) describe(r result) string {
	n.t.Helper()
	if r.action == actionDrop {
		return r.String()
	}
	p := r.packet()
	if p[0]>>4 == 6 {
		inner, _, err := wire.Decode(p)
		must(n.t, err)
		p = inner
	}
	checkSums(n.t, p)
	src, dst := netip.AddrFrom4([4]byte(p[12:])), netip.AddrFrom4([4]byte(p[16:]))
	if p[9] == 1 || binary.BigEndian.Uint16(p[6:])&0x1fff != 0 {
		return fmt.Sprintf("%s %s>%s", r, src, dst)
	}
	sport, dport := binary.BigEndian.Uint16(p[20:]), binary.BigEndian.Uint16(p[22:])
	return fmt.Sprintf("%s %s>%s", r, netip.AddrPortFrom(src, sport), netip.AddrPortFrom(dst, dport))
}

// checkSums verifies the checksums of an IPv4 packet; of a fragment the
// header's only.
func checkSums(t testing.TB, p []byte) {
	t.Helper()
	if wire.Sum(p[:20]) != 0xffff {
		t.Fatalf("%x: header checksum is wrong", p)
	}
	body, protocol := p[20:], p[9]
	if binary.BigEndian.Uint16(p[6:])&0x3fff != 0 {
		return
	}
	switch protocol {
	case 1:
		if wire.Sum(body) != 0xffff {
			t.Fatalf("%x: ICMP checksum is wrong", p)
		}
	case 6, 17:
		if protocol == 17 && body[6] == 0 && body[7] == 0 {
			return
		}
		pseudo := append([]byte{}, p[12:20]...)
		pseudo = append(pseudo, 0, protocol, byte(len(body)>>8), byte(len(body)))
		if wire.Sum(append(pseudo, body...)) != 0xffff {
			t.Fatalf("%x: transport checksum is wrong", p)
		}
	}
}

func podSees(ep Endpoint, p ipv4) action {
	return func(n *node) string { return n.describe(n.fromPod(ep, p.bytes())) }
}

func farSees(p ipv4) action {
	return func(n *node) string {
		return n.describe(n.fromOverlay(tag(n.t, p.bytes(), farPrefix, idFar, true)))
	}
}

func deliverSees(ep Endpoint, device string, p ipv4) action {
	return func(n *node) string { return n.describe(n.toPod(ep, p.bytes(), device)) }
}

// on gives a Service of one port at vip, with backends.
func on(protocol policy.Protocol, backends ...netip.AddrPort) service.Service {
	return service.Service{
		Namespace: "default", Name: "web",
		Frontends: []service.Frontend{{Addr: netip.MustParseAddr(vip), Port: 80, Protocol: protocol}},
		Backends:  backends,
	}
}

func (p ipv4) zeroChecksum() ipv4 {
	return p.raw(func(raw []byte) { raw[26], raw[27] = 0, 0 })
}

const pod4000 = addrA + ":4000"

var toVIP = tcp(pod4000, vip+":80", "S")

func TestServices(t *testing.T) {
	a, b := podA(), podB()
	tell(t, []story{
		{"TCP, local backend", []step{
			{serves(on(policy.TCP, backendB)), ""},
			{podSees(a, toVIP), "pod " + pod4000 + ">" + addrB + ":8080"},
			{podSees(b, tcp(addrB+":8080", pod4000, "SA")), "pod " + vip + ":80>" + pod4000},
			{podSees(a, tcp(pod4000, vip+":80", "A")), "pod " + pod4000 + ">" + addrB + ":8080"},
			{podSees(b, tcp(addrB+":8080", pod4000, "A")), "pod " + vip + ":80>" + pod4000},
		}},
		{"TCP, far backend", []step{
			{serves(on(policy.TCP, backendFar)), ""},
			{podSees(a, toVIP), "tunnel " + pod4000 + ">" + addrFar + ":8080"},
			{farSees(tcp(addrFar+":8080", pod4000, "SA")), "pod " + vip + ":80>" + pod4000},
			{podSees(a, tcp(pod4000, vip+":80", "A")), "tunnel " + pod4000 + ">" + addrFar + ":8080"},
		}},
		{"TCP, a backend outside the cluster", []step{
			{serves(on(policy.TCP, netip.MustParseAddrPort(world+":8080"))), ""},
			{podSees(a, toVIP), "stack " + pod4000 + ">" + world + ":8080"},
			{deliverSees(a, "uplink", tcp(world+":8080", pod4000, "SA")), "pod " + vip + ":80>" + pod4000},
		}},
		{"UDP", []step{
			{serves(on(policy.UDP, backendFar)), ""},
			{podSees(a, udp(pod4000, vip+":80")), "tunnel " + pod4000 + ">" + addrFar + ":8080"},
			{farSees(udp(addrFar+":8080", pod4000)), "pod " + vip + ":80>" + pod4000},
			{podSees(a, tcp(pod4000, vip+":80", "S")), "stack " + pod4000 + ">" + vip + ":80"},
		}},
		{"another port of the same address", []step{
			{serves(on(policy.TCP, backendB)), ""},
			{podSees(a, tcp(pod4000, vip+":81", "S")), "stack " + pod4000 + ">" + vip + ":81"},
		}},
		{"no backends: to the host stack, which refuses, as the world's", []step{
			{serves(on(policy.TCP)), ""},
			{podSees(a, toVIP), "stack " + pod4000 + ">" + vip + ":80"},
			{deliverSees(a, "", tcp(vip+":80", pod4000, "RA")), "pod " + vip + ":80>" + pod4000},
			{loads(egress(openTable(), idA)), ""},
			{podSees(a, toVIP), "policy-egress"},
		}},
		{"backends that come later", []step{
			{serves(on(policy.UDP)), ""},
			{podSees(a, udp(pod4000, vip+":80")), "stack " + pod4000 + ">" + vip + ":80"},
			{serves(on(policy.UDP, backendB)), ""},
			{podSees(a, udp(pod4000, vip+":80")), "pod " + pod4000 + ">" + addrB + ":8080"},
		}},
		{"judged on the backend", []step{
			{serves(on(policy.TCP, backendB)), ""},
			{loads(egress(openTable(), idA, idFar)), ""},
			{pod(a, toVIP), "policy-egress"},
			{loads(ingress(openTable(), idB, idFar)), ""},
			{pod(a, toVIP), "policy-ingress"},
			{loads(ingress(egress(openTable(), idA, idB), idB, idA)), ""},
			{pod(a, toVIP), "pod"},
		}},
	})
}

func TestSpecialServices(t *testing.T) {
	a, b := podA(), podB()
	gateway := "169.254.7.1" // of every pod
	nodePort := on(policy.TCP, backendB)
	nodePort.Frontends = []service.Frontend{{Port: 30080, Protocol: policy.TCP}}
	backendA := netip.MustParseAddrPort(addrA + ":8080")
	tell(t, []story{
		{"NodePort at every node's address, and no other", []step{
			{serves(nodePort), ""},
			{podSees(a, tcp(pod4000, ownHost+":30080", "S")), "pod " + pod4000 + ">" + addrB + ":8080"},
			{podSees(b, tcp(addrB+":8080", pod4000, "SA")), "pod " + ownHost + ":30080>" + pod4000},
			{podSees(a, tcp(addrA+":4001", farHost+":30080", "S")), "pod " + addrA + ":4001>" + addrB + ":8080"},
			{podSees(b, tcp(addrB+":8080", addrA+":4001", "SA")), "pod " + farHost + ":30080>" + addrA + ":4001"},
			{podSees(a, tcp(pod4000, world+":30080", "S")), "stack " + pod4000 + ">" + world + ":30080"},
			{podSees(a, tcp(pod4000, addrFar+":30080", "S")), "tunnel " + pod4000 + ">" + addrFar + ":30080"},
		}},
		{"a pod that reaches itself", []step{
			{serves(on(policy.TCP, backendA)), ""},
			{loads(ingress(egress(openTable(), idA), idA)), ""},
			{podSees(a, toVIP), "pod " + gateway + ":4000>" + addrA + ":8080"},
			{podSees(a, tcp(addrA+":8080", gateway+":4000", "SA")), "pod " + vip + ":80>" + pod4000},
			{podSees(a, tcp(pod4000, vip+":80", "A")), "pod " + gateway + ":4000>" + addrA + ":8080"},
		}},
		{"a shaped client", []step{
			{serves(on(policy.TCP, backendFar)), ""},
			{podSees(podS(), tcp(addrS+":4000", vip+":80", "S")), "stack " + addrS + ":4000>" + addrFar + ":8080"},
			{host("podS", tcp(addrS+":4000", addrFar+":8080", "S")), "tunnel"},
			{farSees(tcp(addrFar+":8080", addrS+":4000", "SA")), "pod " + addrFar + ":8080>" + addrS + ":4000"},
			{deliverSees(podS(), "overlay", tcp(addrFar+":8080", addrS+":4000", "SA")), "pod " + vip + ":80>" + addrS + ":4000"},
		}},
		{"answers that the far node no longer vouches for", []step{
			{serves(on(policy.TCP, backendFar)), ""},
			{podSees(a, toVIP), "tunnel " + pod4000 + ">" + addrFar + ":8080"},
			{func(n *node) string {
				return n.describe(n.fromOverlay(tag(n.t, tcp(addrFar+":8080", pod4000, "A").bytes(), farPrefix, idFar, false)))
			}, "pod " + vip + ":80>" + pod4000},
			{podSees(a, tcp(pod4000, vip+":80", "A")), "tunnel-reply " + pod4000 + ">" + addrFar + ":8080"},
			{farSees(tcp(addrFar+":8080", pod4000, "A")), "pod " + vip + ":80>" + pod4000},
		}},
		{"an ICMP error about a flow to a Service", []step{
			{serves(on(policy.UDP, backendFar)), ""},
			{podSees(a, udp(pod4000, vip+":80")), "tunnel " + pod4000 + ">" + addrFar + ":8080"},
			{farError(udp(pod4000, addrFar+":8080")), "pod " + vip + ">" + addrA + " about " + pod4000 + ">" + vip + ":80"},
		}},
	})
}

// farError is an ICMP error of the far pod about a packet; what the quoted
// header says on arrival is part of the outcome.
func farError(quoted ipv4) action {
	return func(n *node) string {
		p := icmpError(addrFar+":0", addrA+":0", layers.ICMPv4TypeDestinationUnreachable, quoted)
		r := n.fromOverlay(tag(n.t, p.bytes(), farPrefix, idFar, true))
		said := n.describe(r)
		if r.action == actionDrop {
			return said
		}
		inner := r.packet()[28:]
		if wire.Sum(inner[:20]) != 0xffff {
			n.t.Fatalf("%x: quoted header checksum is wrong", inner)
		}
		src := netip.AddrPortFrom(netip.AddrFrom4([4]byte(inner[12:])), binary.BigEndian.Uint16(inner[20:]))
		dst := netip.AddrPortFrom(netip.AddrFrom4([4]byte(inner[16:])), binary.BigEndian.Uint16(inner[22:]))
		return fmt.Sprintf("%s about %s>%s", said, src, dst)
	}
}

// A UDP checksum of zero means that there is none, and stays zero.
func TestServiceZeroChecksum(t *testing.T) {
	n := newNode(t)
	serves(on(policy.UDP, backendB))(n)
	there := n.fromPod(podA(), udp(addrA+":4000", vip+":80").zeroChecksum().bytes())
	back := n.fromPod(podB(), udp(addrB+":8080", addrA+":4000").zeroChecksum().bytes())
	for _, r := range []result{there, back} {
		if p := r.packet(); r.String() != "pod" || p[26] != 0 || p[27] != 0 {
			t.Errorf("%s: checksum is %x", r, p[26:28])
		}
	}
}

// A datagram in pieces reaches one backend, and is put together again there.
func TestServiceFragments(t *testing.T) {
	n := newNode(t)
	serves(on(policy.UDP, backendB))(n)
	want := udp(addrA+":4000", addrB+":8080").carrying(make([]byte, 100))
	var body []byte
	for i, piece := range udp(addrA+":4000", vip+":80").carrying(make([]byte, 100)).fragments(77, 40) {
		r := n.fromPod(podA(), piece.bytes())
		if got, suffix := n.describe(r), addrB; i > 0 && got != "pod "+addrA+">"+suffix || r.String() != "pod" {
			t.Fatalf("piece %d: %s", i, got)
		}
		body = append(body, r.packet()[20:]...)
	}
	checkSums(t, append(want.bytes()[:20], body...))
}

// chosen opens connections to vip:80 from different ports and counts the
// backends that they reach.
func chosen(n *node, make func(src, dst string) ipv4, ports ...int) map[netip.Addr]int {
	counts := map[netip.Addr]int{}
	for _, port := range ports {
		r := n.fromPod(podA(), make(fmt.Sprintf("%s:%d", addrA, port), vip+":80").bytes())
		p := r.packet()
		if p[0]>>4 == 6 {
			p, _, _ = wire.Decode(p)
		}
		counts[netip.AddrFrom4([4]byte(p[16:]))]++
	}
	return counts
}

func tcpSyn(src, dst string) ipv4 { return tcp(src, dst, "S") }
func tcpAck(src, dst string) ipv4 { return tcp(src, dst, "A") }

// numbers gives count consecutive ports.
func numbers(first, count int) []int {
	list := make([]int, count)
	for i := range list {
		list[i] = first + i
	}
	return list
}

func TestBackendChoice(t *testing.T) {
	n := newNode(t)
	far2 := netip.MustParseAddrPort(addrFar2 + ":8080")
	far, local := netip.MustParseAddr(addrFar), netip.MustParseAddr(addrB)
	t.Run("spreads", func(t *testing.T) {
		serves(on(policy.TCP, backendB, backendFar))(n)
		counts := chosen(n, tcpSyn, numbers(10000, 200)...)
		if counts[far] < 50 || counts[local] < 50 || counts[far]+counts[local] != 200 {
			t.Errorf("chosen: %v", counts)
		}
	})
	t.Run("a connection stays, even with a backend that is leaving", func(t *testing.T) {
		serves(on(policy.TCP, backendFar))(n)
		chosen(n, tcpSyn, 20000)
		serves(on(policy.TCP, backendB))(n)
		if counts := chosen(n, tcpAck, 20000); counts[far] != 1 {
			t.Errorf("chosen: %v", counts)
		}
		if counts := chosen(n, tcpSyn, 20001); counts[local] != 1 {
			t.Errorf("a new connection chose %v", counts)
		}
		if counts := chosen(n, tcpSyn, 20000); counts[local] != 1 {
			t.Errorf("the same port opened anew chose %v", counts)
		}
	})
	t.Run("datagrams stay while their backend does", func(t *testing.T) {
		n.reset()
		serves(on(policy.UDP, backendFar))(n)
		ports := numbers(30000, 20)
		chosen(n, udp, ports...)
		serves(on(policy.UDP, backendB, backendFar, far2))(n)
		if counts := chosen(n, udp, ports...); counts[far] != 20 {
			t.Errorf("with more backends: %v", counts)
		}
		n.setPolicy(ingress(openTable(), idB, idA))
		if counts := chosen(n, udp, ports...); counts[far] != 20 {
			t.Errorf("with another policy: %v", counts)
		}
		serves(on(policy.UDP, backendB))(n)
		if counts := chosen(n, udp, ports...); counts[local] != 20 {
			t.Errorf("without their backend: %v", counts)
		}
	})
	t.Run("affinity", func(t *testing.T) {
		n.reset()
		sticky := on(policy.TCP, backendB, backendFar)
		sticky.Affinity = time.Hour
		serves(sticky)(n)
		first := chosen(n, tcpSyn, numbers(40000, 50)...)
		if len(first) != 1 {
			t.Fatalf("chosen: %v", first)
		}
		sticky.Backends = append(sticky.Backends, far2)
		serves(sticky)(n)
		second := chosen(n, tcpSyn, numbers(41000, 50)...)
		for backend := range first {
			if second[backend] != 50 {
				t.Errorf("after another backend came: first %v, then %v", first, second)
			}
		}
	})
}
