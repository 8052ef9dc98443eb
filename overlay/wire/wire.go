// Package wire translates whole packets between what pods send and the
// tunnel's IPv6, a pure model of what the kernel programs do at the WireGuard
// device.
//
// An IPv6 packet has other addresses in the tunnel, and else stays as it is. An
// IPv4 packet has another header. The headers follow RFC 7915 sections 4.1 and 5.1 with four differences:
// addresses as package overlay lays them out; traffic class, hop limit and
// protocol number carried over unchanged, so that ICMP stays protocol 1 and its
// payload stays as it is; a Fragment header only for what is a fragment; and DF
// in the destination address. Nothing behind the IP header is read or written.
package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"

	"github.com/signet-cni/signet/overlay"
)

// Reasons for which a packet cannot be translated.
var (
	ErrTruncated   = errors.New("packet is truncated or its lengths contradict each other")
	ErrVersion     = errors.New("unexpected IP version")
	ErrOptions     = errors.New("malformed IPv4 options")
	ErrSourceRoute = errors.New("unexpired source route") // RFC 7915 section 4.1
	ErrReserved    = errors.New("a reserved bit is set")
	ErrProtocol    = errors.New("protocol number of an IPv6 extension header")
	ErrFragment    = errors.New("malformed fragment")
	ErrLength      = errors.New("packet does not fit the other header's length field")
)

const (
	header4Len  = 20
	header6Len  = 40
	fragmentLen = 8
	maxLen      = 0xffff
	labelMask   = 0xfffff

	protoHopByHop    = 0
	protoRouting     = 43
	protoFragment    = 44
	protoDestOptions = 60

	flagReserved   = 0x8000 // of the IPv4 flags and offset word
	flagDF         = 0x4000
	flagMF         = 0x2000
	offset4Mask    = 0x1fff
	offset6Mask    = 0xfff8 // of the Fragment header's offset word
	reserved6Mask  = 0x0006
	moreFragments6 = 0x0001
)

// Route is what Encode and Encode6 add to a packet: whence and whither it
// travels.
type Route struct {
	From, To netip.Prefix // of the two nodes: tunnel prefixes, or IPv6 pod CIDRs
	Identity uint32       // of the sending endpoint
	Reply    bool         // the sending node vouches that this is a reply
}

// Encode translates an IPv4 packet into its form inside the tunnel. Bytes
// behind the total length are cut off, options are dropped. The IPv4 header
// checksum is not verified.
func Encode(packet []byte, route Route) ([]byte, error) {
	h, err := parse4(packet)
	if err != nil {
		return nil, err
	}
	tag := overlay.Tag{From: route.From, To: route.To, Identity: route.Identity, Src: h.src, Dst: h.dst}
	if h.df {
		tag.Flags |= overlay.DF
	}
	if route.Reply {
		tag.Flags |= overlay.Reply
	}
	src, dst, err := tag.Addresses()
	if err != nil {
		return nil, err
	}
	return h.encode6(src, dst), nil
}

// Decode translates a packet of the tunnel back into IPv4 and returns what
// its addresses said. The identification of a packet that is no fragment is
// zero (RFC 6864 section 4.1).
func Decode(packet []byte) ([]byte, overlay.Tag, error) {
	h, err := parse6(packet)
	if err == nil {
		err = h.check4()
	}
	if err != nil {
		return nil, overlay.Tag{}, err
	}
	tag, err := overlay.ParseTag(h.src, h.dst)
	if err != nil {
		return nil, overlay.Tag{}, err
	}
	h.src, h.dst, h.df = tag.Src, tag.Dst, tag.Flags&overlay.DF != 0
	return h.encode4(), tag, nil
}

// header holds what both forms of a packet have in common.
type header struct {
	label                 uint32
	class, hops, protocol byte
	df, more              bool
	fragmentHeader        bool   // of IPv6
	offset                uint16 // of a fragment, in units of 8 bytes
	id                    uint32 // of a fragment
	src, dst              netip.Addr
	payload               []byte
}

func (h header) fragment() bool { return h.more || h.offset != 0 }

// encode6 writes the IPv6 header, the Fragment header if there is to be one
// (RFC 8200 section 4.5), and the payload. The flow label is zero.
func (h header) encode6(src, dst netip.Addr) []byte {
	size := header6Len
	if h.fragment() {
		size += fragmentLen
	}
	p := make([]byte, size, size+len(h.payload))
	binary.BigEndian.PutUint32(p, 6<<28|uint32(h.class)<<20)
	binary.BigEndian.PutUint16(p[4:], uint16(size-header6Len+len(h.payload)))
	p[6], p[7] = h.protocol, h.hops
	s, d := src.As16(), dst.As16()
	copy(p[8:], s[:])
	copy(p[24:], d[:])
	if h.fragment() {
		p[6], p[40] = protoFragment, h.protocol
		word := h.offset << 3
		if h.more {
			word |= moreFragments6
		}
		binary.BigEndian.PutUint16(p[42:], word)
		binary.BigEndian.PutUint32(p[44:], h.id)
	}
	return append(p, h.payload...)
}

// encode4 writes the IPv4 header without options, and the payload.
func (h header) encode4() []byte {
	p := make([]byte, header4Len, header4Len+len(h.payload))
	p[0], p[1], p[8], p[9] = 0x45, h.class, h.hops, h.protocol
	binary.BigEndian.PutUint16(p[2:], uint16(header4Len+len(h.payload)))
	binary.BigEndian.PutUint16(p[4:], uint16(h.id))
	word := h.offset
	if h.df {
		word |= flagDF
	}
	if h.more {
		word |= flagMF
	}
	binary.BigEndian.PutUint16(p[6:], word)
	s, d := h.src.As4(), h.dst.As4()
	copy(p[12:], s[:])
	copy(p[16:], d[:])
	binary.BigEndian.PutUint16(p[10:], ^Sum(p))
	return append(p, h.payload...)
}

// checkFragment refuses fragments that RFC 791 and RFC 8200 do not allow: a
// piece that is not the last must fill whole units of 8 bytes, and none may end
// behind the largest packet, whose payload has limit bytes.
func (h header) checkFragment(limit int) error {
	if h.more && (len(h.payload) == 0 || len(h.payload)%8 != 0) {
		return fmt.Errorf("%w: %d bytes and more to come", ErrFragment, len(h.payload))
	}
	if h.fragment() && int(h.offset)*8+len(h.payload) > limit {
		return fmt.Errorf("%w: ends at byte %d", ErrFragment, int(h.offset)*8+len(h.payload))
	}
	return nil
}

// Sum is the one's complement sum of the big-endian 16-bit words of b (RFC
// 1071); an odd last byte counts as if a zero followed.
func Sum(b []byte) uint16 {
	var sum uint32
	for i, v := range b {
		if i%2 == 0 {
			sum += uint32(v) << 8
		} else {
			sum += uint32(v)
		}
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return uint16(sum)
}
