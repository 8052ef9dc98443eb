package overlay

import (
	"net/netip"

	"golang.zx2c4.com/wireguard/wgctrl/wgtypes"
)

// Node is one node of the cluster as its Tunnel object publishes it, parsed.
type Node struct {
	Name      string
	PublicKey wgtypes.Key
	// Endpoint is the underlay address and UDP port where the node's
	// WireGuard device listens.
	Endpoint netip.AddrPort
	// PodCIDRs are the node's pod ranges, at most one of each family. The
	// node's tunnel prefix is derived from the IPv4 one (see Prefix).
	PodCIDRs []netip.Prefix
	// Addresses are the node's own addresses, reachable by pods through the
	// tunnel.
	Addresses []netip.Addr
}
