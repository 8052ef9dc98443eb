package plan

import (
	"net/netip"
	"slices"

	"golang.zx2c4.com/wireguard/wgctrl/wgtypes"

	"github.com/signet-cni/signet/overlay"
)

// InForce is what the kernel still has of an earlier agent's plan.
type InForce struct {
	Peers   []overlay.Peer                // of both devices; their names are not known
	Holders map[netip.Prefix]netip.Prefix // pod CIDRs and single addresses: the holder's tunnel /64
}

// Inherit gives what Config.Accepted is for an agent's first plan: those of the
// published nodes that are peers already, each with no more than the kernel
// shows it to hold. A node is known by its key and its tunnel prefix together;
// of several that publish both alike, the first by name is taken, as the peer
// stays the same whichever it is.
func Inherit(nodes []overlay.Node, cfg Config, kernel InForce) []overlay.Node {
	var accepted []overlay.Node
	taken := map[wgtypes.Key]bool{}
	for _, n := range sorted(nodes) {
		c, refusal := check(n, cfg)
		if refusal != nil || taken[n.PublicKey] || !kernel.has(c) {
			continue
		}
		taken[n.PublicKey] = true
		accepted = append(accepted, kernel.holdings(c))
	}
	return accepted
}

// has says whether a device has this node as a peer, by the key of that device.
func (k InForce) has(c candidate) bool {
	return slices.ContainsFunc(k.Peers, func(p overlay.Peer) bool {
		known := p.PublicKey == c.node.PublicKey || p.PublicKey == c.node.Detour.PublicKey
		return known && slices.Contains(p.AllowedIPs, c.prefix)
	})
}

// holdings takes off what the node publishes and the kernel shows as nobody's,
// or another's.
func (k InForce) holdings(c candidate) overlay.Node {
	n := c.node
	others := func(p netip.Prefix) bool { return k.Holders[p] != c.prefix }
	n.PodCIDRs = slices.DeleteFunc(slices.Clone(n.PodCIDRs), others)
	n.Addresses = slices.DeleteFunc(slices.Clone(n.Addresses), func(a netip.Addr) bool { return others(only(a)) })
	if slices.ContainsFunc(k.Peers, func(p overlay.Peer) bool {
		return p.Endpoint == n.Endpoint && !slices.Contains(p.AllowedIPs, c.prefix)
	}) {
		n.Endpoint = netip.AddrPort{}
	}
	return n
}
