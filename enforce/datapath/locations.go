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

// Location is where the addresses of a prefix live.
type Location struct {
	Kind LocationKind
	// Prefix is the node's tunnel /64, for the two remote kinds.
	Prefix netip.Prefix
}

// SetLocations puts the whole table in force and makes live flows be judged
// again if it changed.
func (d *Datapath) SetLocations(desired map[netip.Prefix]Location) (changed bool, err error) {
	rows := make(map[bpfPrefixKey]bpfLocation, len(desired))
	for prefix, l := range desired {
		if !prefix.IsValid() {
			return false, fmt.Errorf("location of an invalid prefix")
		}
		rows[toPrefixKey(prefix)] = toLocation(l)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.locations.differs(rows) {
		return false, nil
	}
	if err := d.locations.add(rows); err != nil {
		return false, err
	}
	if err := d.locations.prune(rows); err != nil {
		return true, err
	}
	return true, d.rejudge()
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

func toLocation(l Location) bpfLocation {
	v := bpfLocation{Kind: uint32(l.Kind)}
	if l.Prefix.IsValid() {
		v.Prefix = prefixWord(l.Prefix)
	}
	return v
}

func toPrefixKey(p netip.Prefix) bpfPrefixKey {
	bits := p.Bits()
	if p.Addr().Is4() {
		bits += 96
	}
	return bpfPrefixKey{PrefixLen: uint32(bits), Addr: p.Masked().Addr().As16()}
}
