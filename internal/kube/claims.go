package kube

import (
	"cmp"
	"net/netip"
	"slices"

	"golang.zx2c4.com/wireguard/wgctrl/wgtypes"

	"github.com/signet-cni/signet/internal/kube/api"
	"github.com/signet-cni/signet/overlay"
)

// claims tells tunnels apart that want the same key, pod range or address.
// Nodes are admitted one after the other, the oldest Tunnel first, so that a
// node which is taken over cannot draw the traffic of one that was there
// before it.
type claims struct {
	keys   map[wgtypes.Key]string
	ranges []claim // disjoint, by address
}

// claim is a pod range, or an address as a range of its own.
type claim struct {
	prefix netip.Prefix
	node   string
}

func newClaims() *claims { return &claims{keys: map[wgtypes.Key]string{}} }

// admit takes in a node, less those of its addresses that another node has:
// these are reported. (Of IPv6 it takes none behind one that it passes over:
// the tunnel names them by their number.) It refuses the whole node if its key or a pod range is
// another's.
func (c *claims) admit(node overlay.Node, found *findings) (overlay.Node, bool) {
	if other, taken := c.keys[node.PublicKey]; taken {
		found.add("publicKey is that of node %s, which was there before; the node has no tunnel", other)
		return overlay.Node{}, false
	}
	for _, prefix := range node.PodCIDRs {
		if other, taken := c.overlapping(prefix); taken {
			found.add("pod range %s overlaps %s of node %s, which was there before; the node has no tunnel",
				prefix, other.prefix, other.node)
			return overlay.Node{}, false
		}
	}
	free := node.Addresses[:0:0]
	broken := false
	for _, addr := range node.Addresses {
		if other, taken := c.overlapping(netip.PrefixFrom(addr, addr.BitLen())); taken {
			found.add("address %s lies in %s of node %s, which was there before; it is passed over",
				addr, other.prefix, other.node)
			broken = broken || addr.Is6()
			continue
		}
		if addr.Is4() || !broken {
			free = append(free, addr)
		}
	}
	node.Addresses = free
	c.take(node)
	return node, true
}

func (c *claims) take(node overlay.Node) {
	c.keys[node.PublicKey] = node.Name
	for _, prefix := range node.PodCIDRs {
		c.insert(claim{prefix: prefix, node: node.Name})
	}
	for _, addr := range node.Addresses {
		c.insert(claim{prefix: netip.PrefixFrom(addr, addr.BitLen()), node: node.Name})
	}
}

// overlapping finds a range that shares an address with prefix. As ranges are
// disjoint, only the two neighbours can.
func (c *claims) overlapping(prefix netip.Prefix) (claim, bool) {
	at := c.search(prefix)
	for _, n := range []int{at - 1, at} {
		if n >= 0 && n < len(c.ranges) && c.ranges[n].prefix.Overlaps(prefix) {
			return c.ranges[n], true
		}
	}
	return claim{}, false
}

// insert adds a range, unless the same node's ranges cover it already: its own
// address inside its own pod range.
func (c *claims) insert(entry claim) {
	if _, covered := c.overlapping(entry.prefix); covered {
		return
	}
	c.ranges = slices.Insert(c.ranges, c.search(entry.prefix), entry)
}

// search gives the position of the first range that begins at or behind prefix.
func (c *claims) search(prefix netip.Prefix) int {
	at, _ := slices.BinarySearchFunc(c.ranges, prefix, func(entry claim, prefix netip.Prefix) int {
		return entry.prefix.Addr().Compare(prefix.Addr())
	})
	return at
}

// admitTunnels gives the usable nodes by name, and why the others are not.
func admitTunnels(items []*item[tunnel]) ([]overlay.Node, []Problem) {
	var problems []Problem
	byAge := make([]*item[tunnel], 0, len(items))
	for _, it := range items {
		problems = append(problems, it.problems...)
		if !it.refused() {
			byAge = append(byAge, it)
		}
	}
	slices.SortStableFunc(byAge, func(a, b *item[tunnel]) int {
		return cmp.Or(a.CreationTimestamp.Compare(b.CreationTimestamp.Time), cmp.Compare(a.Name, b.Name))
	})
	taken := newClaims()
	nodes := make([]overlay.Node, 0, len(byAge))
	for _, it := range byAge {
		found := about(api.TunnelKind, it)
		node, ok := taken.admit(it.value.node, found)
		problems = append(problems, found.problems...)
		if ok {
			nodes = append(nodes, node)
		}
	}
	slices.SortFunc(nodes, func(a, b overlay.Node) int { return cmp.Compare(a.Name, b.Name) })
	return nodes, problems
}
