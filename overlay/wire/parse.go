package wire

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
)

// IPv4 options (RFC 791 section 3.1).
const (
	optionEnd         = 0
	optionNop         = 1
	optionLooseSource = 131
	optionStrict      = 137
)

// parse4 reads an IPv4 packet and leaves nothing of it unjudged but the
// header checksum.
func parse4(p []byte) (header, error) {
	if len(p) < header4Len {
		return header{}, ErrTruncated
	}
	if p[0]>>4 != 4 {
		return header{}, ErrVersion
	}
	headerLen, total := int(p[0]&0xf)*4, int(binary.BigEndian.Uint16(p[2:]))
	if headerLen < header4Len || total < headerLen || total > len(p) {
		return header{}, ErrTruncated
	}
	if err := checkOptions(p[header4Len:headerLen]); err != nil {
		return header{}, err
	}
	if extension(p[9]) {
		return header{}, fmt.Errorf("%w: %d", ErrProtocol, p[9])
	}
	word := binary.BigEndian.Uint16(p[6:])
	if word&flagReserved != 0 {
		return header{}, ErrReserved
	}
	h := header{
		class: p[1], hops: p[8], protocol: p[9],
		df: word&flagDF != 0, more: word&flagMF != 0, offset: word & offset4Mask,
		id:  uint32(binary.BigEndian.Uint16(p[4:])),
		src: netip.AddrFrom4([4]byte(p[12:])), dst: netip.AddrFrom4([4]byte(p[16:])),
		payload: p[headerLen:total],
	}
	return h, h.checkFragment(maxLen - header4Len)
}

// parse6 reads an IPv6 packet with at most a Fragment header before what it
// carries.
func parse6(p []byte) (h header, err error) {
	if len(p) < header6Len {
		return h, ErrTruncated
	}
	first := binary.BigEndian.Uint32(p)
	if first>>28 != 6 {
		return h, ErrVersion
	}
	size := header6Len + int(binary.BigEndian.Uint16(p[4:]))
	if size > len(p) {
		return h, ErrTruncated
	}
	h = header{
		label: first & labelMask, class: byte(first >> 20), protocol: p[6], hops: p[7],
		src: netip.AddrFrom16([16]byte(p[8:])), dst: netip.AddrFrom16([16]byte(p[24:])),
		payload: p[header6Len:size],
	}
	if h.protocol != protoFragment {
		return h, nil
	}
	f := h.payload
	if len(f) < fragmentLen {
		return h, ErrTruncated
	}
	word := binary.BigEndian.Uint16(f[2:])
	if f[1] != 0 || word&reserved6Mask != 0 {
		return h, fmt.Errorf("%w: Fragment header", ErrReserved)
	}
	h.protocol, h.payload, h.fragmentHeader = f[0], f[fragmentLen:], true
	h.more, h.offset, h.id = word&moreFragments6 != 0, word&offset6Mask>>3, binary.BigEndian.Uint32(f[4:])
	return h, nil
}

// check4 refuses what Encode does not make of an IPv4 packet: a flow label, an
// identification above 16 bits and a Fragment header on a whole packet.
func (h header) check4() error {
	if h.label != 0 {
		return fmt.Errorf("%w: flow label", ErrReserved)
	}
	if h.id>>16 != 0 {
		return fmt.Errorf("%w: Fragment header", ErrReserved)
	}
	if h.fragmentHeader && !h.fragment() {
		return fmt.Errorf("%w: a whole packet", ErrFragment)
	}
	if extension(h.protocol) {
		return fmt.Errorf("%w: %d", ErrProtocol, h.protocol)
	}
	if header4Len+len(h.payload) > maxLen {
		return ErrLength
	}
	return h.checkFragment(maxLen - header4Len)
}

// check6 refuses what no IPv6 packet in the tunnel has. An atomic fragment (RFC
// 6946) is a whole packet.
func (h header) check6() error {
	if extension(h.protocol) || slices.Contains(extensions6, h.protocol) {
		return fmt.Errorf("%w: %d", ErrProtocol, h.protocol)
	}
	return h.checkFragment(maxLen)
}

// checkOptions walks the IPv4 options that the translation drops. A source
// route that has hops left must not be dropped unnoticed.
func checkOptions(o []byte) error {
	for len(o) > 0 {
		switch o[0] {
		case optionEnd:
			return nil
		case optionNop:
			o = o[1:]
			continue
		}
		if len(o) < 2 || o[1] < 2 || int(o[1]) > len(o) {
			return ErrOptions
		}
		if o[0] == optionLooseSource || o[0] == optionStrict {
			if o[1] < 3 {
				return ErrOptions
			}
			if o[2] <= o[1] {
				return ErrSourceRoute
			}
		}
		o = o[o[1]:]
	}
	return nil
}

// extensions6 are further extension headers of IPv6: authentication, mobility,
// host identity, shim6 (IANA). In IPv4 they are protocols as any other.
var extensions6 = []byte{51, 135, 139, 140}

// extension reports whether a protocol number would be taken for an IPv6
// extension header inside the tunnel.
func extension(protocol byte) bool {
	switch protocol {
	case protoHopByHop, protoRouting, protoFragment, protoDestOptions:
		return true
	}
	return false
}
