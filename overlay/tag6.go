package overlay

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"slices"
)

// ErrNoHost is ParseTag6's for a number that stands for no address.
var ErrNoHost = errors.New("no address of the node has this number")

// Hosts lists the own IPv6 addresses of nodes by their pod CIDRs: the first has
// number 1 in the tunnel.
type Hosts map[netip.Prefix][]netip.Addr

// number gives what stands for an address under a node's pod CIDR, 0 if
// nothing does.
func (h Hosts) number(prefix netip.Prefix, a netip.Addr) uint32 {
	if number, ok := PodNumber(prefix, a); ok {
		return number
	}
	number := slices.Index(h[prefix], a) + 1
	if number > MaxHostNumber {
		return 0
	}
	return uint32(number)
}

// addr gives what a number under a pod CIDR stands for.
func (h Hosts) addr(prefix netip.Prefix, number uint32) (netip.Addr, error) {
	if number > MaxHostNumber {
		return PodAddr(prefix, number), nil
	}
	if number == 0 || int(number) > len(h[prefix]) {
		return netip.Addr{}, fmt.Errorf("%w: %d of %s", ErrNoHost, number, prefix)
	}
	return h[prefix][number-1], nil
}

// Tag6 is all that the two addresses of an IPv6 packet in the tunnel say.
type Tag6 struct {
	From     netip.Prefix // the sending node's IPv6 pod CIDR
	To       netip.Prefix // the receiving node's
	Identity uint32       // of the sending endpoint
	Reply    bool
	Src, Dst netip.Addr // the packet's own addresses
}

// Addresses composes the packet's addresses in the tunnel, checksum-neutral. It
// fails with ErrBadTag where an address is neither a pod's of its node nor one
// that hosts numbers.
func (t Tag6) Addresses(hosts Hosts) (src, dst netip.Addr, err error) {
	from, to := hosts.number(t.From, t.Src), hosts.number(t.To, t.Dst)
	if from == 0 || to == 0 {
		return src, dst, fmt.Errorf("%w: %+v", ErrBadTag, t)
	}
	var aux uint16
	if t.Reply {
		aux = uint16(Reply)
	}
	s, d := PodAddr(t.From, from).As16(), PodAddr(t.To, to).As16()
	binary.BigEndian.PutUint32(s[8:], t.Identity)
	binary.BigEndian.PutUint16(d[10:], aux)
	binary.BigEndian.PutUint16(d[8:], adjust6(s, d, t.Src, t.Dst))
	return netip.AddrFrom16(s), netip.AddrFrom16(d), nil
}

// ParseTag6 reads the addresses of an IPv6 packet in the tunnel. It refuses
// undefined aux bits, numbers that stand for nothing, and an adjustment other
// than the one Addresses gives.
func ParseTag6(src, dst netip.Addr, hosts Hosts) (Tag6, error) {
	t := Tag6{From: prefixOf(src), To: prefixOf(dst)}
	if !t.From.IsValid() || !t.To.IsValid() {
		return Tag6{}, fmt.Errorf("%s to %s: %w", src, dst, ErrNotTunnel)
	}
	s, d := src.As16(), dst.As16()
	t.Identity = binary.BigEndian.Uint32(s[8:])
	aux := Flags(binary.BigEndian.Uint16(d[10:]))
	if t.Reply = aux == Reply; !t.Reply && aux != 0 {
		return Tag6{}, fmt.Errorf("destination %s: %w", dst, ErrUndefinedAux)
	}
	var err, err2 error
	t.Src, err = hosts.addr(t.From, binary.BigEndian.Uint32(s[12:]))
	t.Dst, err2 = hosts.addr(t.To, binary.BigEndian.Uint32(d[12:]))
	if err := errors.Join(err, err2); err != nil {
		return Tag6{}, err
	}
	adjust := binary.BigEndian.Uint16(d[8:])
	d[8], d[9] = 0, 0
	if adjust != adjust6(s, d, t.Src, t.Dst) {
		return Tag6{}, fmt.Errorf("%s to %s: %w", src, dst, ErrChecksumDrift)
	}
	return t, nil
}

// adjust6 is what the addresses in the tunnel lack to sum up to the real ones.
// It is never 0xffff.
func adjust6(s, d [16]byte, src, dst netip.Addr) uint16 {
	tunnel := onesSum(s[:]) + onesSum(d[:])
	own := fold(onesSum(src.AsSlice()) + onesSum(dst.AsSlice()))
	adjust := ^fold(tunnel + uint32(^own))
	if adjust == 0xffff {
		return 0
	}
	return adjust
}
