package datapath

import (
	"fmt"
	"net/netip"
)

// LocationKind says what the addresses of a prefix are.
type LocationKind uint32

// Kinds of locations. Addresses in no location are the world's.
const (
	LocalHost   = LocationKind(bpfLocationKindLOCATION_LOCAL_HOST)  // this node's own
	LocalPods   = LocationKind(bpfLocationKindLOCATION_LOCAL_PODS)  // this node's pod range
	RemoteHost  = LocationKind(bpfLocationKindLOCATION_REMOTE_HOST) // another node's own
	RemotePods  = LocationKind(bpfLocationKindLOCATION_REMOTE_PODS) // another node's pod range
	ClusterPods = LocationKind(bpfLocationKindLOCATION_CLUSTER)     // the cluster's, of no known node
)

// MaxHostNumber is the largest number that stands for a node's own IPv6
// address in the tunnel; the smallest is 1. No pod has these numbers as the
// last 32 bits of its address.
const MaxHostNumber = uint32(bpfWireLimitsMAX_HOST_NUMBER)

// Location is where the addresses of a prefix live.
type Location struct {
	Kind LocationKind
	// Prefix is the /64 under which these addresses stand in the tunnel, for
	// all kinds but ClusterPods: of IPv4 the node's tunnel /64, of IPv6 its
	// pod /64.
	Prefix netip.Prefix
	// Node is the node's tunnel /64, under which SetAttested knows it;
	// invalid: the same as Prefix.
	Node netip.Prefix
	// Host is the number, 1 to MaxHostNumber, that stands for an IPv6 address
	// of kind LocalHost or RemoteHost in the tunnel; 0 for all else.
	Host uint32
}

// SetLocations puts the whole table in force and makes live flows be judged
// again if it changed. It also tells the programs which address stands behind
// each host number of each /64.
func (d *Datapath) SetLocations(desired map[netip.Prefix]Location) (changed bool, err error) {
	rows, hosts, err := toLocations(desired)
	if err != nil {
		return false, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.locations.differs(rows) && !d.hosts.differs(hosts) {
		return false, nil
	}
	if err := d.hosts.add(hosts); err != nil {
		return false, err
	}
	if err := d.locations.add(rows); err != nil {
		return false, err
	}
	if err := d.locations.prune(rows); err != nil {
		return true, err
	}
	if err := d.hosts.prune(hosts); err != nil {
		return true, err
	}
	return true, d.rejudge()
}

// Locations gives the table in force, which may be that of an earlier agent, with
// Node in every row that SetLocations got a Prefix in.
func (d *Datapath) Locations() map[netip.Prefix]Location {
	d.mu.Lock()
	defer d.mu.Unlock()
	table := make(map[netip.Prefix]Location, len(d.locations.known))
	for key, row := range d.locations.known {
		table[fromPrefixKey(key)] = fromLocation(row)
	}
	return table
}

// rejudge makes live flows be judged again. With no policy loaded there are
// none, and the revision stays 0. d.mu is held.
func (d *Datapath) rejudge() error {
	if d.revision == 0 {
		return nil
	}
	if err := d.settle(); err != nil {
		return err
	}
	return d.bump()
}

// toLocations gives the rows of both directions: from an address to where it
// lives, and from a host's number to its address.
func toLocations(desired map[netip.Prefix]Location) (map[bpfPrefixKey]bpfLocation, map[bpfHostKey]bpfAddr, error) {
	rows := make(map[bpfPrefixKey]bpfLocation, len(desired))
	hosts := map[bpfHostKey]bpfAddr{}
	for prefix, l := range desired {
		if err := checkLocation(prefix, l); err != nil {
			return nil, nil, err
		}
		rows[toPrefixKey(prefix)] = toLocation(l)
		if l.Host == 0 {
			continue
		}
		key := bpfHostKey{Prefix: prefixWord(l.Prefix), Number: l.Host}
		if other, ok := hosts[key]; ok {
			return nil, nil, fmt.Errorf("location %s: number %d of %s is %s", prefix, l.Host, l.Prefix, fromAddr(other))
		}
		hosts[key] = toAddr(prefix.Addr())
	}
	return rows, hosts, nil
}

func checkLocation(prefix netip.Prefix, l Location) error {
	if !prefix.IsValid() || prefix.Addr().Is4In6() {
		return fmt.Errorf("location of the prefix %q: want one of IPv4 or IPv6", prefix)
	}
	host6 := prefix.Addr().Is6() && (l.Kind == LocalHost || l.Kind == RemoteHost)
	if !host6 && l.Host != 0 {
		return fmt.Errorf("location %s: it is no node's IPv6 address, but has the number %d", prefix, l.Host)
	}
	if host6 && (prefix.Bits() != 128 || !is64(l.Prefix) || l.Host < 1 || l.Host > MaxHostNumber) {
		return fmt.Errorf("location %s, number %d of %q: a node's IPv6 address needs a number from 1 to %d of a /64",
			prefix, l.Host, l.Prefix, MaxHostNumber)
	}
	return nil
}

func toLocation(l Location) bpfLocation {
	v := bpfLocation{Kind: uint32(l.Kind), Host: l.Host}
	if l.Prefix.IsValid() {
		v.Prefix = prefixWord(l.Prefix)
		v.Node = v.Prefix
	}
	if l.Node.IsValid() {
		v.Node = prefixWord(l.Node)
	}
	return v
}

func fromLocation(v bpfLocation) Location {
	return Location{
		Kind: LocationKind(v.Kind), Host: v.Host, Prefix: fromPrefixWord(v.Prefix), Node: fromPrefixWord(v.Node),
	}
}

func fromPrefixKey(k bpfPrefixKey) netip.Prefix {
	p := netip.PrefixFrom(netip.AddrFrom16(k.Addr), int(k.PrefixLen))
	if p.Addr().Is4In6() && p.Bits() >= 96 {
		return netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	return p
}

func toPrefixKey(p netip.Prefix) bpfPrefixKey {
	bits := p.Bits()
	if p.Addr().Is4() {
		bits += 96
	}
	return bpfPrefixKey{PrefixLen: uint32(bits), Addr: p.Masked().Addr().As16()}
}
