package overlay

import (
	"fmt"
	"net/netip"
	"regexp"
	"time"

	"golang.zx2c4.com/wireguard/wgctrl/wgtypes"
)

// Defaults of the tunnel device.
const (
	DefaultDevice = "signet0"
	DefaultPort   = 51872 // UDP
	// DetourDevice is the second device, which carries a node's traffic while
	// keys of the first are changed (package tunnel). It listens on the port
	// after the first's.
	DetourDevice = "signet1"
)

var deviceName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]{0,14}$`)

// CheckDeviceName refuses what cannot name a network device (at most 15
// bytes) or would lead out of a directory when used in a path.
func CheckDeviceName(name string) error {
	if !deviceName.MatchString(name) {
		return fmt.Errorf("device name %q: want 1 to 15 of letters, digits, '_', '.' and '-'", name)
	}
	return nil
}

// Peer is one remote node as the WireGuard device knows it.
type Peer struct {
	Name       string // the node's, for messages
	PublicKey  wgtypes.Key
	Endpoint   netip.AddrPort
	AllowedIPs []netip.Prefix // sources that the peer may send from
	Detour     Detour         // of the node
	// Keepalive is how often something is sent although there is nothing to
	// say, in whole seconds up to 65535; 0: never.
	Keepalive time.Duration
}

// OnDetour is the peer as the second device knows it; ok is false if it has
// none.
func (p Peer) OnDetour() (peer Peer, ok bool) {
	peer = p
	peer.PublicKey, peer.Endpoint, peer.Keepalive = p.Detour.PublicKey, DetourEndpoint(p.Endpoint), 0
	return peer, p.Detour.PublicKey != wgtypes.Key{}
}

// DetourEndpoint is where the second device of a node listens.
func DetourEndpoint(first netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(first.Addr(), first.Port()+1)
}

// Kind says what lives at a Location.
type Kind uint8

// The kinds of location.
const (
	RemotePods Kind = iota + 1 // another node's pod CIDR
	RemoteNode                 // another node's own address
	LocalPods                  // this node's pod CIDR
	LocalHost                  // this node's own address
	Closed                     // the cluster's, but behind no peer: nothing goes there
)

var kindNames = map[Kind]string{
	RemotePods: "remote-pods", RemoteNode: "remote-node", LocalPods: "local-pods", LocalHost: "local-host",
	Closed: "closed",
}

// String gives the kind's name, "kind(n)" for an unknown one.
func (k Kind) String() string {
	if name, ok := kindNames[k]; ok {
		return name
	}
	return fmt.Sprintf("kind(%d)", uint8(k))
}

// Location tells the datapath on which node a range of inner addresses lives.
type Location struct {
	Prefix       netip.Prefix // a pod CIDR, or a node address as /32 or /128
	Kind         Kind
	TunnelPrefix netip.Addr // first address of that node's tunnel /64
	// PodPrefix6 is that node's IPv6 pod /64, under which an IPv6 Prefix
	// stands in the tunnel; invalid for IPv4.
	PodPrefix6 netip.Prefix
	// Host is the number, 1 to MaxHostNumber, of a node's IPv6 address in
	// the tunnel; 0 for all else.
	Host uint32
}

// Route is one route of the node's main table.
type Route struct {
	Destination netip.Prefix
	Unreachable bool       // refuses instead of leading into the tunnel
	Source      netip.Addr // preferred source; invalid with Unreachable
	Metric      uint32     // the smallest wins
	MTU         int        // bytes of the packet before it is tagged; 0 means the device's
}

// MTU holds the sizes that fit one underlay, in bytes.
type MTU struct {
	Device int // of the WireGuard device
	Pods   int // of the pods' devices, and of the route into the tunnel
}
