package overlay

import (
	"net/netip"
	"time"

	"golang.zx2c4.com/wireguard/wgctrl/wgtypes"
)

// Detour is a node's second WireGuard device.
type Detour struct {
	PublicKey wgtypes.Key // zero: the node has none
	// Active asks for it to be used, since the node is about to change the key
	// of its first.
	Active bool
}

// Node is one node of the cluster as its Tunnel object publishes it, parsed.
type Node struct {
	Name      string
	PublicKey wgtypes.Key
	// Endpoint is the underlay address and UDP port where the node's
	// WireGuard device listens.
	Endpoint netip.AddrPort
	Detour   Detour
	// Keyed is when PublicKey was made; zero: unknown.
	Keyed time.Time
	// PodCIDRs are the node's pod ranges, at most one of each family. The
	// node's tunnel prefix is derived from the IPv4 one (see Prefix).
	PodCIDRs []netip.Prefix
	// Addresses are the node's own addresses, reachable by pods through the
	// tunnel.
	Addresses []netip.Addr
}
