package overlay

import (
	"encoding/binary"
	"fmt"
	"net/netip"
)

// Tag is all that the two addresses of a tunnel packet say.
type Tag struct {
	From     netip.Prefix // the sending node's /64
	To       netip.Prefix // the receiving node's /64
	Identity uint32       // of the sending endpoint
	Flags    Flags
	Src, Dst netip.Addr // the inner IPv4 addresses
}

// Addresses composes the packet's IPv6 addresses, checksum-neutral. It fails
// with ErrBadTag on anything that ParseTag would not give back unchanged.
func (t Tag) Addresses() (src, dst netip.Addr, err error) {
	if !tunnelPrefix(t.From) || !tunnelPrefix(t.To) || !t.Src.Is4() || !t.Dst.Is4() || t.Flags&^definedFlags != 0 {
		return src, dst, fmt.Errorf("%w: %+v", ErrBadTag, t)
	}
	if clusterOf(t.From) != clusterOf(t.To) {
		return src, dst, fmt.Errorf("%s to %s: %w", t.From, t.To, ErrOtherCluster)
	}
	aux := uint16(t.Flags)
	src = Source(t.From, t.Identity, t.Src)
	dst = Destination(t.To, Adjust(t.From, t.To, t.Identity, aux), aux, t.Dst)
	return src, dst, nil
}

// ParseTag reads the addresses of a tunnel packet. It refuses whatever the
// format does not define: other prefixes, two clusters, unknown aux bits, a
// checksum adjustment other than the one Adjust gives. Whether the prefixes
// belong to the right nodes and the inner addresses to those prefixes is the
// caller's to judge.
func ParseTag(src, dst netip.Addr) (Tag, error) {
	from, to := prefixOf(src), prefixOf(dst)
	if !tunnelPrefix(from) {
		return Tag{}, fmt.Errorf("source %s: %w", src, ErrNotTunnel)
	}
	if !tunnelPrefix(to) {
		return Tag{}, fmt.Errorf("destination %s: %w", dst, ErrNotTunnel)
	}
	if clusterOf(from) != clusterOf(to) {
		return Tag{}, fmt.Errorf("%s to %s: %w", src, dst, ErrOtherCluster)
	}
	s, d := src.As16(), dst.As16()
	identity, adjust, aux := binary.BigEndian.Uint32(s[8:]), binary.BigEndian.Uint16(d[8:]), binary.BigEndian.Uint16(d[10:])
	if Flags(aux)&^definedFlags != 0 {
		return Tag{}, fmt.Errorf("destination %s: %w", dst, ErrUndefinedAux)
	}
	if adjust != Adjust(from, to, identity, aux) {
		return Tag{}, fmt.Errorf("%s to %s: %w", src, dst, ErrChecksumDrift)
	}
	return Tag{
		From: from, To: to, Identity: identity, Flags: Flags(aux),
		Src: netip.AddrFrom4([4]byte(s[12:])), Dst: netip.AddrFrom4([4]byte(d[12:])),
	}, nil
}

// prefixOf gives the /64 of an IPv6 address, and an invalid prefix for
// anything else: IPv4, mapped IPv4, an address with a zone.
func prefixOf(a netip.Addr) netip.Prefix {
	if !a.Is6() || a.Is4In6() || a.Zone() != "" {
		return netip.Prefix{}
	}
	return netip.PrefixFrom(a, prefixBits).Masked()
}

func tunnelPrefix(p netip.Prefix) bool {
	return p.IsValid() && p.Bits() == prefixBits && p == p.Masked() && p.Addr().As16()[0] == localByte
}

func clusterOf(p netip.Prefix) ClusterID {
	a := p.Addr().As16()
	return ClusterID(a[1:4])
}
