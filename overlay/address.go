package overlay

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
)

// Addresses inside the tunnel. Every packet there is IPv6; an IPv4 packet has
// its header translated, with the sender's identity in the source address:
//
//	             0        8                       32                              64
//	            +--------+-----------------------+-------------------------------+
//	prefix /64  |  0xfd  |     cluster id 24     |     base of the pod CIDR 32   |
//	            +--------+-----------------------+-------------------------------+
//
//	             64              80              96                             128
//	            +-------------------------------+-------------------------------+
//	source      |          identity 32          |      inner IPv4 source        |
//	            +---------------+---------------+-------------------------------+
//	destination |    adjust 16  |     aux 16    |    inner IPv4 destination     |
//	            +---------------+---------------+-------------------------------+
//
// The prefix is a unique local address (RFC 4193). The source carries the
// sending node's prefix, the destination the receiving node's. WireGuard
// admits from a peer only sources in that peer's prefix.
//
// adjust makes the translation checksum-neutral (RFC 6296 section 3.1): the
// one's complement sum over both IPv6 addresses equals that over both IPv4
// addresses, so that no transport checksum changes. Of the two zeros of one's
// complement the format uses 0x0000: adjust is never 0xffff.
//
// aux bits that Flags does not name are zero.

// ClusterID tells clusters that share an underlay apart: 24 bits.
type ClusterID [3]byte

// ParseClusterID reads exactly six hexadecimal digits.
func ParseClusterID(s string) (ClusterID, error) {
	var id ClusterID
	if len(s) != hex.EncodedLen(len(id)) {
		return id, fmt.Errorf("cluster id %q is not six hexadecimal digits", s)
	}
	if _, err := hex.Decode(id[:], []byte(s)); err != nil {
		return ClusterID{}, fmt.Errorf("cluster id %q is not six hexadecimal digits", s)
	}
	return id, nil
}

// String gives the six digits that ParseClusterID reads.
func (id ClusterID) String() string { return hex.EncodeToString(id[:]) }

// Flags are the aux bits of a destination address.
type Flags uint16

// The defined flags. Every other bit is zero on the wire.
const (
	DF    Flags = 1 << 0 // the IPv4 header's Don't Fragment bit
	Reply Flags = 1 << 1 // the sending node admitted this flow in the other direction

	definedFlags = DF | Reply
)

const (
	localByte  = 0xfd // first byte of every tunnel address
	prefixBits = 64   // length of a node's prefix
)

// Errors of ParseTag, for callers that count by reason.
var (
	ErrNotTunnel     = errors.New("not an address of the tunnel")
	ErrOtherCluster  = errors.New("source and destination belong to different clusters")
	ErrUndefinedAux  = errors.New("undefined aux bits are set")
	ErrChecksumDrift = errors.New("the address pair is not checksum-neutral")
	ErrBadTag        = errors.New("a tag needs /64 tunnel prefixes, IPv4 addresses and defined flags")
)

// Range is where the tunnel prefixes of all the cluster's nodes lie, a /32.
func (c ClusterID) Range() netip.Prefix {
	a := [16]byte{0: localByte}
	copy(a[1:4], c[:])
	return netip.PrefixFrom(netip.AddrFrom16(a), 32)
}

// Prefix derives a node's tunnel prefix, always a /64, from the cluster and
// the node's IPv4 pod CIDR. It fails if podCIDR is not IPv4 or has bits set
// behind its length.
func Prefix(cluster ClusterID, podCIDR netip.Prefix) (netip.Prefix, error) {
	if !podCIDR.IsValid() || !podCIDR.Addr().Is4() {
		return netip.Prefix{}, fmt.Errorf("pod CIDR %s is not IPv4", podCIDR)
	}
	if podCIDR != podCIDR.Masked() {
		return netip.Prefix{}, fmt.Errorf("pod CIDR %s has bits set behind its length", podCIDR)
	}
	base := podCIDR.Addr().As4()
	a := [16]byte{0: localByte}
	copy(a[1:4], cluster[:])
	copy(a[4:8], base[:])
	return netip.PrefixFrom(netip.AddrFrom16(a), prefixBits), nil
}

// Source composes the source address of a packet that the node with the
// given prefix sends. inner must be IPv4; it panics otherwise.
func Source(prefix netip.Prefix, identity uint32, inner netip.Addr) netip.Addr {
	a := prefix.Addr().As16()
	host := inner.As4()
	binary.BigEndian.PutUint32(a[8:], identity)
	copy(a[12:], host[:])
	return netip.AddrFrom16(a)
}

// Destination composes the destination address of a packet to the node with
// the given prefix. inner must be IPv4; it panics otherwise.
func Destination(prefix netip.Prefix, adjust, aux uint16, inner netip.Addr) netip.Addr {
	a := prefix.Addr().As16()
	host := inner.As4()
	binary.BigEndian.PutUint16(a[8:], adjust)
	binary.BigEndian.PutUint16(a[10:], aux)
	copy(a[12:], host[:])
	return netip.AddrFrom16(a)
}

// Adjust gives the destination's checksum adjustment: what makes everything
// that the two IPv6 addresses hold beside the two IPv4 addresses sum up to
// zero. It is never 0xffff.
func Adjust(source, destination netip.Prefix, identity uint32, aux uint16) uint16 {
	from, to := source.Addr().As16(), destination.Addr().As16()
	sum := onesSum(from[:8]) + onesSum(to[:8]) + identity>>16 + identity&0xffff + uint32(aux)
	return ^fold(sum)
}

// onesSum adds up big-endian 16-bit words, unfolded. b is short and even.
func onesSum(b []byte) uint32 {
	var sum uint32
	for i := 0; i < len(b); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	return sum
}

// fold reduces a one's complement sum to 16 bits.
func fold(sum uint32) uint16 {
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return uint16(sum)
}
