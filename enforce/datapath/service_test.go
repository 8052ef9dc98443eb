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

func podSees(ep Endpoint, p ipv4) action {
	return func(n *node) string { return n.describe(n.fromPod(ep, n.form(p))) }
}

func farSees(p ipv4) action {
	return func(n *node) string {
		return n.describe(n.fromOverlay(n.tag(n.form(p), farPrefix, idFar, true)))
	}
}

func deliverSees(ep Endpoint, device string, p ipv4) action {
	return func(n *node) string { return n.describe(n.toPod(ep, n.form(p), device)) }
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
		{"SCTP", []step{
			{serves(on(policy.SCTP, backendFar)), ""},
			{podSees(a, sctp(pod4000, vip+":80")), "tunnel " + pod4000 + ">" + addrFar + ":8080"},
			{farSees(sctpOn(addrFar+":8080", pod4000)), "pod " + vip + ":80>" + pod4000},
			{podSees(a, sctpOn(pod4000, vip+":80")), "tunnel " + pod4000 + ">" + addrFar + ":8080"},
			{podSees(a, tcp(pod4000, vip+":80", "S")), "stack " + pod4000 + ">" + vip + ":80"},
		}},
		{"SCTP, local backend of the same port", []step{
			{serves(on(policy.SCTP, netip.MustParseAddrPort(addrB+":80"))), ""},
			{podSees(a, sctp(pod4000, vip+":80")), "pod " + pod4000 + ">" + addrB + ":80"},
			{podSees(b, sctpOn(addrB+":80", pod4000)), "pod " + vip + ":80>" + pod4000},
		}},
		{"SCTP, judged on a backend outside the cluster", []step{
			{serves(on(policy.SCTP, netip.MustParseAddrPort(world+":8080"))), ""},
			{podSees(a, sctp(pod4000, vip+":80")), "stack " + pod4000 + ">" + world + ":8080"},
			{deliverSees(a, "uplink", sctpOn(world+":8080", pod4000)), "pod " + vip + ":80>" + pod4000},
			{loads(egressTo(vip)), ""},
			{podSees(a, sctpOn(pod4000, vip+":80")), "policy-egress"},
			{podSees(a, sctp(addrA+":4001", vip+":80")), "policy-egress"},
			{loads(egressTo(world)), ""},
			{podSees(a, sctpOn(pod4000, vip+":80")), "stack " + pod4000 + ">" + world + ":8080"},
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
	gateway := gatewayAddr
	nodePort := on(policy.TCP, backendB)
	nodePort.Frontends = []service.Frontend{{Addr: netip.IPv4Unspecified(), Port: 30080, Protocol: policy.TCP}}
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
				return n.describe(n.fromOverlay(n.tag(n.form(tcp(addrFar+":8080", pod4000, "A")), farPrefix, idFar, false)))
			}, "pod " + vip + ":80>" + pod4000},
			{podSees(a, tcp(pod4000, vip+":80", "A")), "tunnel-reply " + pod4000 + ">" + addrFar + ":8080"},
			{farSees(tcp(addrFar+":8080", pod4000, "A")), "pod " + vip + ":80>" + pod4000},
		}},
		{"an ICMP error about a flow to a Service", []step{
			{serves(on(policy.UDP, backendFar)), ""},
			{podSees(a, udp(pod4000, vip+":80")), "tunnel " + pod4000 + ">" + addrFar + ":8080"},
			{farError(udp(pod4000, addrFar+":8080")), "pod " + vip + ">" + addrA + " about " + pod4000 + ">" + vip + ":80"},
		}},
		{"a client's ICMP error about a Service's answer", []step{
			{serves(on(policy.UDP, backendFar)), ""},
			{ownError(a, vip, udp(vip+":80", pod4000)), "icmp-unrelated"},
			{podSees(a, udp(pod4000, vip+":80")), "tunnel " + pod4000 + ">" + addrFar + ":8080"},
			{farSees(udp(addrFar+":8080", pod4000)), "pod " + vip + ":80>" + pod4000},
			{ownError(a, vip, udp(vip+":80", pod4000)), "tunnel " + addrA + ">" + addrFar + " about " + addrFar + ":8080>" + pod4000},
			{ownError(a, vip, udp(vip+":81", pod4000)), "icmp-unrelated"},
			{ownError(b, vip, udp(vip+":80", pod4000)), "icmp-unrelated"},
		}},
		{"a client's ICMP error about a local backend's answer", []step{
			{serves(on(policy.UDP, backendB)), ""},
			{podSees(a, udp(pod4000, vip+":80")), "pod " + pod4000 + ">" + addrB + ":8080"},
			{podSees(b, udp(addrB+":8080", pod4000)), "pod " + vip + ":80>" + pod4000},
			{ownError(a, vip, udp(vip+":80", pod4000)), "pod " + addrA + ">" + addrB + " about " + addrB + ":8080>" + pod4000},
			{loads(ingress(openTable(), idB)), ""},
			{ownError(a, vip, udp(vip+":80", pod4000)), "icmp-unrelated"},
		}},
	})
}

// farError is an ICMP error of the far pod about a packet; what the quoted
// header says on arrival is part of the outcome.
func farError(quoted ipv4) action {
	return func(n *node) string {
		p := icmpError(addrFar+":0", addrA+":0", layers.ICMPv4TypeDestinationUnreachable, quoted)
		return n.describeError(n.fromOverlay(n.tag(n.form(p), farPrefix, idFar, true)))
	}
}

// ownError is an ICMP error that a pod of this node sends to dst about what it
// was sent.
func ownError(ep Endpoint, dst string, quoted ipv4) action {
	return func(n *node) string {
		p := icmpError(ep.Addr.String()+":0", dst+":0", layers.ICMPv4TypeDestinationUnreachable, quoted)
		return n.describeError(n.fromPod(ep, n.form(p)))
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

// An SCTP checksum that the device is yet to compute stays so, one that stands
// is right for every length, and a packet in pieces is refused where its port
// would change.
func TestServiceSCTPChecksum(t *testing.T) {
	n := newNode(t)
	serves(on(policy.SCTP, backendB))(n)
	blank := func(raw []byte) { copy(raw[28:32], make([]byte, 4)) }
	r := n.fromPod(podA(), sctp(pod4000, vip+":80").raw(blank).bytes())
	if p := r.packet(); r.String() != "pod" || binary.BigEndian.Uint32(p[28:]) != 0 {
		t.Errorf("%s: the checksum became %x", r, p[28:32])
	}
	for size := range 1380 {
		got := podSees(podA(), sctp(pod4000, vip+":80").carrying(make([]byte, size)))(n)
		if want := "pod " + pod4000 + ">" + addrB + ":8080"; got != want {
			t.Fatalf("%d bytes: %s, want %s", size, got, want)
		}
	}
	for _, piece := range sctp(pod4000, vip+":80").carrying(make([]byte, 100)).fragments(77, 40)[:1] {
		if got := podSees(podA(), piece)(n); got != "translation-failed" {
			t.Errorf("a first fragment: %s", got)
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
