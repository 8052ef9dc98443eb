package datapath

import (
	"net"
	"net/netip"
	"strings"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
)

// ipv4 is an IPv4 packet to build; src and dst are "address:port".
type ipv4 struct {
	header  layers.IPv4
	l4      gopacket.SerializableLayer
	payload []byte
	edit    func([]byte) // last, on the whole packet
}

func ends(src, dst string) (from, to netip.AddrPort) {
	return netip.MustParseAddrPort(src), netip.MustParseAddrPort(dst)
}

func newIPv4(from, to netip.AddrPort, protocol layers.IPProtocol, l4 gopacket.SerializableLayer) ipv4 {
	return ipv4{
		header: layers.IPv4{
			Version: 4, TTL: 63, Flags: layers.IPv4DontFragment, Protocol: protocol,
			SrcIP: from.Addr().AsSlice(), DstIP: to.Addr().AsSlice(),
		},
		l4: l4, payload: []byte("Signet test payload!"),
	}
}

// tcp has the flags that its letters name: S, A, F, R.
func tcp(src, dst, flags string) ipv4 {
	from, to := ends(src, dst)
	has := func(flag string) bool { return strings.Contains(flags, flag) }
	p := newIPv4(from, to, layers.IPProtocolTCP, nil)
	l4 := &layers.TCP{
		SrcPort: layers.TCPPort(from.Port()), DstPort: layers.TCPPort(to.Port()), Seq: 1, Window: 512,
		SYN: has("S"), ACK: has("A"), FIN: has("F"), RST: has("R"),
	}
	_ = l4.SetNetworkLayerForChecksum(&p.header)
	p.l4 = l4
	return p
}

func udp(src, dst string) ipv4 {
	from, to := ends(src, dst)
	p := newIPv4(from, to, layers.IPProtocolUDP, nil)
	l4 := &layers.UDP{SrcPort: layers.UDPPort(from.Port()), DstPort: layers.UDPPort(to.Port())}
	_ = l4.SetNetworkLayerForChecksum(&p.header)
	p.l4 = l4
	return p
}

// sctp opens an association: only INIT has a verification tag of zero.
func sctp(src, dst string) ipv4 { return sctpTagged(src, dst, 0) }

// sctpOn is a later packet of an association.
func sctpOn(src, dst string) ipv4 { return sctpTagged(src, dst, 7) }

func sctpTagged(src, dst string, tag uint32) ipv4 {
	from, to := ends(src, dst)
	l4 := &layers.SCTP{
		SrcPort: layers.SCTPPort(from.Port()), DstPort: layers.SCTPPort(to.Port()), VerificationTag: tag,
	}
	return newIPv4(from, to, layers.IPProtocolSCTP, l4)
}

// echo is an ICMP echo request; the port of src is its identifier.
func echo(src, dst string) ipv4 {
	from, to := ends(src, dst)
	code := layers.CreateICMPv4TypeCode(layers.ICMPv4TypeEchoRequest, 0)
	return newIPv4(from, to, layers.IPProtocolICMPv4, &layers.ICMPv4{TypeCode: code, Id: from.Port(), Seq: 1})
}

// echoReply is the answer to echo(dst, src).
func echoReply(src, dst string) ipv4 {
	from, to := ends(src, dst)
	code := layers.CreateICMPv4TypeCode(layers.ICMPv4TypeEchoReply, 0)
	return newIPv4(from, to, layers.IPProtocolICMPv4, &layers.ICMPv4{TypeCode: code, Id: to.Port(), Seq: 1})
}

// icmpError quotes the header and 8 bytes of a packet.
func icmpError(src, dst string, kind uint8, quoted ipv4) ipv4 {
	from, to := ends(src, dst)
	p := newIPv4(from, to, layers.IPProtocolICMPv4, &layers.ICMPv4{TypeCode: layers.CreateICMPv4TypeCode(kind, 1)})
	p.payload = quoted.bytes()[:28]
	return p
}

// with returns a copy whose header edit has changed.
func (p ipv4) with(edit func(*layers.IPv4)) ipv4 {
	edit(&p.header)
	return p
}

func (p ipv4) carrying(payload []byte) ipv4 {
	p.payload = payload
	return p
}

// raw returns a copy of which edit changes bytes after all checksums are made.
func (p ipv4) raw(edit func([]byte)) ipv4 {
	p.edit = edit
	return p
}

// bytes builds the packet, with all lengths and checksums.
func (p ipv4) bytes() []byte {
	parts := []gopacket.SerializableLayer{&p.header}
	if p.l4 != nil {
		parts = append(parts, p.l4)
	}
	parts = append(parts, gopacket.Payload(p.payload))
	buffer := gopacket.NewSerializeBuffer()
	options := gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}
	if err := gopacket.SerializeLayers(buffer, options, parts...); err != nil {
		panic(err)
	}
	if p.edit != nil {
		p.edit(buffer.Bytes())
	}
	return buffer.Bytes()
}

// fragments cuts the packet behind its IP header into pieces of size bytes.
func (p ipv4) fragments(id uint16, size int) []ipv4 {
	whole := p.bytes()
	body := whole[20:]
	var pieces []ipv4
	for offset := 0; offset < len(body); offset += size {
		piece := ipv4{header: p.header, payload: body[offset:min(offset+size, len(body))]}
		piece.header.Id, piece.header.FragOffset = id, uint16(offset/8)
		if offset+size < len(body) {
			piece.header.Flags |= layers.IPv4MoreFragments
		}
		pieces = append(pieces, piece)
	}
	return pieces
}

// ethernet puts a link-layer header before a packet.
func ethernet(src, dst net.HardwareAddr, kind layers.EthernetType, packet []byte) []byte {
	frame := append(append([]byte{}, dst...), src...)
	frame = append(frame, byte(kind>>8), byte(kind))
	return append(frame, packet...)
}
