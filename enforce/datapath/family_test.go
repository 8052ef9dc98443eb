package datapath

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"slices"

	"github.com/gopacket/gopacket/layers"

	"github.com/signet-cni/signet/enforce/service"
	"github.com/signet-cni/signet/overlay/wire"
)

// What a test says in IPv4 has a counterpart in IPv6: pod 10.244.N.P is
// fd10:244:0:N::1:P, the gateway stands for number 0 of the node's range, and
// any other address are the last 32 bits of 2001:db8::.

var podRange = netip.MustParsePrefix("10.244.0.0/16")

func six(a netip.Addr) netip.Addr {
	b := a.As4()
	switch {
	case a == netip.MustParseAddr(gatewayAddr):
		return ownPrefix6.Addr()
	case podRange.Contains(a):
		return netip.AddrFrom16([16]byte{0: 0xfd, 1: 0x10, 2: 0x02, 3: 0x44, 7: b[2], 13: 1, 15: b[3]})
	}
	return netip.AddrFrom16([16]byte{0: 0x20, 1: 0x01, 2: 0x0d, 3: 0xb8, 12: b[0], 13: b[1], 14: b[2], 15: b[3]})
}

// four is the way back.
func four(a netip.Addr) netip.Addr {
	b := a.As16()
	switch {
	case a == ownPrefix6.Addr():
		return netip.MustParseAddr(gatewayAddr)
	case b[0] == 0xfd:
		return netip.AddrFrom4([4]byte{10, 244, b[7], b[15]})
	}
	return netip.AddrFrom4([4]byte(b[12:]))
}

// sixth is a pod's endpoint in IPv6.
func sixth(ep Endpoint) Endpoint {
	ep.Addr = six(ep.Addr)
	return ep
}

// bothFamilies adds to each service its frontends and backends in IPv6.
func bothFamilies(list []service.Service) []service.Service {
	list = slices.Clone(list)
	for i, s := range list {
		for _, f := range s.Frontends {
			f.Addr = sixFrontend(f.Addr)
			list[i].Frontends = append(slices.Clip(list[i].Frontends), f)
		}
		for _, b := range s.Backends {
			b = netip.AddrPortFrom(six(b.Addr()), b.Port())
			list[i].Backends = append(slices.Clip(list[i].Backends), b)
		}
	}
	return list
}

// sixFrontend is six for a frontend, which may be every node's.
func sixFrontend(a netip.Addr) netip.Addr {
	if a.IsUnspecified() {
		return netip.IPv6Unspecified()
	}
	return six(a)
}

// form builds a packet in the node's family.
func (n *node) form(p ipv4) []byte {
	if n.v6 {
		return ipv6(p.bytes())
	}
	return p.bytes()
}

func etherType(packet []byte) layers.EthernetType {
	if packet[0]>>4 == 6 {
		return layers.EthernetTypeIPv6
	}
	return layers.EthernetTypeIPv4
}

// ICMP types that mean the same.
var icmp6 = map[byte]byte{
	layers.ICMPv4TypeEchoRequest: layers.ICMPv6TypeEchoRequest, layers.ICMPv4TypeEchoReply: layers.ICMPv6TypeEchoReply,
	layers.ICMPv4TypeDestinationUnreachable: layers.ICMPv6TypeDestinationUnreachable,
	layers.ICMPv4TypeTimeExceeded:           layers.ICMPv6TypeTimeExceeded,
	layers.ICMPv4TypeParameterProblem:       layers.ICMPv6TypeParameterProblem,
	layers.ICMPv4TypeRedirect:               layers.ICMPv6TypeRedirect,
}

// ipv6 is the counterpart of an IPv4 packet, with right checksums. A
// fragment's stay as they are.
func ipv6(p []byte) []byte {
	fragment := binary.BigEndian.Uint16(p[6:]) & 0x3fff
	src, dst := six(netip.AddrFrom4([4]byte(p[12:]))), six(netip.AddrFrom4([4]byte(p[16:])))
	protocol, body := p[9], bytes.Clone(p[int(p[0]&0xf)*4:binary.BigEndian.Uint16(p[2:])])
	if protocol == 1 {
		protocol = 58
		if fragment&0x1fff == 0 {
			body = icmpBody(body)
		}
	}
	if fragment != 0 {
		header := make([]byte, 8, 8+len(body))
		header[0] = protocol
		binary.BigEndian.PutUint16(header[2:], fragment<<3|fragment>>13)
		copy(header[6:], p[4:6])
		body, protocol = append(header, body...), 44
	}
	out := make([]byte, 40, 40+len(body))
	binary.BigEndian.PutUint32(out, 6<<28|uint32(p[1])<<20|0xabcde)
	binary.BigEndian.PutUint16(out[4:], uint16(len(body)))
	out[6], out[7] = protocol, p[8]
	copy(out[8:], src.AsSlice())
	copy(out[24:], dst.AsSlice())
	return setSum(append(out, body...))
}

// icmpBody gives an ICMP message its types in ICMPv6, and what it quotes.
func icmpBody(body []byte) []byte {
	kind, known := icmp6[body[0]]
	if !known {
		panic("no such ICMPv6 type")
	}
	body[0] = kind
	if kind >= 128 && kind != layers.ICMPv6TypeRedirect {
		return body
	}
	quoted := bytes.Clone(body[8:])
	binary.BigEndian.PutUint16(quoted[2:], uint16(len(quoted)))
	return append(body[:8], ipv6(quoted)...)
}

// sumOffset is where a protocol's checksum lies, or 0.
var sumOffset = map[byte]int{6: 16, 17: 6, 58: 2}

// setSum computes the checksum of a whole IPv6 packet, if it holds it whole.
func setSum(p []byte) []byte {
	at, ok := sumOffset[p[6]]
	if at += 40; !ok || at+2 > len(p) {
		return p
	}
	p[at], p[at+1] = 0, 0
	sum := ^sum6(p)
	if sum == 0 {
		sum = 0xffff
	}
	binary.BigEndian.PutUint16(p[at:], sum)
	return p
}

// sum6 sums up a transport packet with its pseudo-header (RFC 8200 section 8.1).
func sum6(p []byte) uint16 {
	pseudo := append(bytes.Clone(p[8:40]), 0, 0, p[4], p[5], 0, 0, 0, p[6])
	return wire.Sum(append(pseudo, p[40:]...))
}

// tag6 gives an IPv6 packet its form in the tunnel.
func (n *node) tag6(p []byte, route wire.Route) []byte {
	n.t.Helper()
	out, err := wire.Encode6(p, route, testHosts)
	must(n.t, err)
	return out
}

// message6 is an ICMPv6 message of a type between two IPv6 addresses.
func message6(src, dst string, kind byte) []byte {
	p := make([]byte, 40+32)
	p[0], p[5], p[6], p[7] = 0x60, 32, 58, 255
	copy(p[8:], netip.MustParseAddr(src).AsSlice())
	copy(p[24:], netip.MustParseAddr(dst).AsSlice())
	p[40] = kind
	return setSum(p)
}

// extended puts an extension header before what an IPv6 packet carries; its
// first byte is filled in.
func extended(p []byte, kind byte, header []byte) []byte {
	out := append(bytes.Clone(p[:40]), header...)
	out[40], out[6] = p[6], kind
	out = append(out, p[40:]...)
	binary.BigEndian.PutUint16(out[4:], uint16(len(out)-40))
	return out
}
