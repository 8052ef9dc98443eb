package harness

import (
	"encoding/binary"
	"net"
	"net/netip"

	"golang.org/x/sys/unix"
)

// Packet describes an IPv4 packet to build (RFC 791).
type Packet struct {
	Src, Dst netip.Addr
	Protocol byte
	TOS      byte
	ID       uint16
	Fragment uint16 // flags and offset
	Options  []byte // a multiple of 4 bytes
	Payload  []byte
}

// Bytes builds the packet with a right header checksum.
func (p Packet) Bytes() []byte {
	words := 5 + len(p.Options)/4
	b := make([]byte, words*4, words*4+len(p.Payload))
	b[0], b[1], b[8], b[9] = 0x40|byte(words), p.TOS, 64, p.Protocol
	binary.BigEndian.PutUint16(b[2:], uint16(len(b)+len(p.Payload)))
	binary.BigEndian.PutUint16(b[4:], p.ID)
	binary.BigEndian.PutUint16(b[6:], p.Fragment)
	copy(b[12:], p.Src.AsSlice())
	copy(b[16:], p.Dst.AsSlice())
	copy(b[20:], p.Options)
	binary.BigEndian.PutUint16(b[10:], Checksum(b))
	return append(b, p.Payload...)
}

// UDPPacket builds an IPv4 UDP packet (RFC 768) with a right checksum.
func UDPPacket(src, dst netip.AddrPort, payload []byte) Packet {
	p := Packet{Src: src.Addr(), Dst: dst.Addr(), Protocol: unix.IPPROTO_UDP, Payload: make([]byte, 8, 8+len(payload))}
	binary.BigEndian.PutUint16(p.Payload, src.Port())
	binary.BigEndian.PutUint16(p.Payload[2:], dst.Port())
	binary.BigEndian.PutUint16(p.Payload[4:], uint16(8+len(payload)))
	p.Payload = append(p.Payload, payload...)
	binary.BigEndian.PutUint16(p.Payload[6:], p.checksum())
	return p
}

// TCPPacket builds a TCP segment without data (RFC 9293).
func TCPPacket(src, dst netip.AddrPort, flags byte) Packet {
	p := Packet{Src: src.Addr(), Dst: dst.Addr(), Protocol: unix.IPPROTO_TCP, Payload: make([]byte, 20)}
	binary.BigEndian.PutUint16(p.Payload, src.Port())
	binary.BigEndian.PutUint16(p.Payload[2:], dst.Port())
	p.Payload[12], p.Payload[13], p.Payload[14] = 5<<4, flags, 0xff
	binary.BigEndian.PutUint16(p.Payload[16:], p.checksum())
	return p
}

// ICMPError builds a destination unreachable message about a packet (RFC 792).
func ICMPError(src, dst netip.Addr, about []byte) Packet {
	body := append([]byte{3, 3, 0, 0, 0, 0, 0, 0}, about[:min(len(about), 28)]...)
	binary.BigEndian.PutUint16(body[2:], Checksum(body))
	return Packet{Src: src, Dst: dst, Protocol: unix.IPPROTO_ICMP, Payload: body}
}

// checksum covers the pseudo header and the payload.
func (p Packet) checksum() uint16 {
	pseudo := append(p.Src.AsSlice(), p.Dst.AsSlice()...)
	pseudo = append(pseudo, 0, p.Protocol)
	pseudo = binary.BigEndian.AppendUint16(pseudo, uint16(len(p.Payload)))
	return Checksum(append(pseudo, p.Payload...))
}

// Frame puts an Ethernet header before a packet.
func Frame(dst, src net.HardwareAddr, protocol uint16, packet []byte) []byte {
	b := append(append([]byte{}, dst...), src...)
	return append(binary.BigEndian.AppendUint16(b, protocol), packet...)
}

// LinkLocal builds what a host says to its IPv6 link by itself: a router
// advertisement and a neighbour solicitation (RFC 4861), and a datagram to all
// nodes.
func LinkLocal(from netip.Addr) [][]byte {
	allNodes := netip.MustParseAddr("ff02::1")
	solicited := netip.MustParseAddr("ff02::1:ff00:7")
	return [][]byte{
		IPv6Packet(from, allNodes, unix.IPPROTO_ICMPV6, append([]byte{134, 0, 0, 0, 64, 0, 7, 8}, make([]byte, 8)...)),
		IPv6Packet(from, solicited, unix.IPPROTO_ICMPV6, append([]byte{135, 0, 0, 0, 0, 0, 0, 0}, solicited.AsSlice()...)),
		IPv6Packet(from, allNodes, unix.IPPROTO_UDP, []byte{0, 1, 0, 2, 0, 8, 0, 0}),
	}
}

// IPv6Packet builds a packet of the greatest hop limit (RFC 8200), its payload's
// checksum filled in for ICMPv6.
func IPv6Packet(from, to netip.Addr, protocol byte, payload []byte) []byte {
	p := append([]byte{0x60, 0, 0, 0, 0, byte(len(payload)), protocol, 255}, from.AsSlice()...)
	p = append(append(p, to.AsSlice()...), payload...)
	if protocol == unix.IPPROTO_ICMPV6 {
		pseudo := append(append(from.AsSlice(), to.AsSlice()...), 0, 0, 0, byte(len(payload)), 0, 0, 0, protocol)
		binary.BigEndian.PutUint16(p[42:], Checksum(append(pseudo, payload...)))
	}
	return p
}
