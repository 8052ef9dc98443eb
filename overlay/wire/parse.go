package wire

import (
	"encoding/binary"
	"fmt"
	"net/netip"
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
		id:  binary.BigEndian.Uint16(p[4:]),
		src: netip.AddrFrom4([4]byte(p[12:])), dst: netip.AddrFrom4([4]byte(p[16:])),
		payload: p[headerLen:total],
	}
	return h, h.checkFragment()
}

// parse6 reads a tunnel packet: a plain IPv6 header, and at most a Fragment
// header that says what Encode would have written.
func parse6(p []byte) (h header, src, dst netip.Addr, err error) {
	if len(p) < header6Len {
		return h, src, dst, ErrTruncated
	}
	first := binary.BigEndian.Uint32(p)
	if first>>28 != 6 {
		return h, src, dst, ErrVersion
	}
	if first&0xfffff != 0 {
		return h, src, dst, fmt.Errorf("%w: flow label", ErrReserved)
	}
	size := header6Len + int(binary.BigEndian.Uint16(p[4:]))
	if size > len(p) {
		return h, src, dst, ErrTruncated
	}
	h = header{class: byte(first >> 20), protocol: p[6], hops: p[7], payload: p[header6Len:size]}
	src, dst = netip.AddrFrom16([16]byte(p[8:])), netip.AddrFrom16([16]byte(p[24:]))
	if h.protocol == protoFragment {
		if err := h.parseFragment(); err != nil {
			return h, src, dst, err
		}
	}
	if extension(h.protocol) {
		return h, src, dst, fmt.Errorf("%w: %d", ErrProtocol, h.protocol)
	}
	if header4Len+len(h.payload) > 0xffff {
		return h, src, dst, ErrLength
	}
	return h, src, dst, h.checkFragment()
}

// parseFragment moves the Fragment header from the payload into h. Reserved
// bits, an identification above 16 bits and a header on a whole packet are
// refused, since Encode makes none of them.
func (h *header) parseFragment() error {
	f := h.payload
	if len(f) < fragmentLen {
		return ErrTruncated
	}
	word, id := binary.BigEndian.Uint16(f[2:]), binary.BigEndian.Uint32(f[4:])
	if f[1] != 0 || word&reserved6Mask != 0 || id>>16 != 0 {
		return fmt.Errorf("%w: Fragment header", ErrReserved)
	}
	h.protocol, h.payload = f[0], f[fragmentLen:]
	h.more, h.offset, h.id = word&moreFragments6 != 0, word&offset6Mask>>3, uint16(id)
	if !h.fragment() {
		return fmt.Errorf("%w: a whole packet", ErrFragment)
	}
	return nil
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

// extension reports whether a protocol number would be taken for an IPv6
// extension header inside the tunnel.
func extension(protocol byte) bool {
	switch protocol {
	case protoHopByHop, protoRouting, protoFragment, protoDestOptions:
		return true
	}
	return false
}
