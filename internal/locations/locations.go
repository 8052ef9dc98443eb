// Package locations turns a plan of the overlay into what the datapath looks
// addresses up in.
package locations

import (
	"net/netip"

	"github.com/signet-cni/signet/enforce/datapath"
	"github.com/signet-cni/signet/overlay"
	"github.com/signet-cni/signet/overlay/plan"
)

var kinds = map[overlay.Kind]datapath.LocationKind{
	overlay.RemotePods: datapath.RemotePods, overlay.RemoteNode: datapath.RemoteHost,
	overlay.LocalPods: datapath.LocalPods, overlay.LocalHost: datapath.LocalHost,
	overlay.Closed: datapath.ClusterPods,
}

// Of gives the table of a plan.
func Of(p plan.Result) map[netip.Prefix]datapath.Location {
	table := make(map[netip.Prefix]datapath.Location, len(p.Locations))
	for _, l := range p.Locations {
		table[l.Prefix] = rowOf(l)
	}
	return table
}

func rowOf(l overlay.Location) datapath.Location {
	row := datapath.Location{Kind: kinds[l.Kind], Prefix: l.PodPrefix6, Host: l.Host}
	if l.Kind == overlay.Closed {
		return row
	}
	row.Node = netip.PrefixFrom(l.TunnelPrefix, 64)
	if l.Prefix.Addr().Is4() {
		row.Prefix = row.Node
	}
	return row
}

// Holders tells of a table in force whose the nodes' pod ranges and addresses
// are: the tunnel /64s.
func Holders(table map[netip.Prefix]datapath.Location) map[netip.Prefix]netip.Prefix {
	holders := map[netip.Prefix]netip.Prefix{}
	for prefix, row := range table {
		if row.Kind == datapath.RemotePods || row.Kind == datapath.RemoteHost {
			holders[prefix] = row.Node
		}
	}
	return holders
}
