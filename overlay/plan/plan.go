// Package plan computes what one node needs to take part in the overlay from
// what all nodes publish: peers, where addresses live, routes, MTU. It is pure;
// the same input in any order gives the same result.
//
// What nodes publish is hostile until checked. A node that fails a check
// becomes no peer and no location, so nothing is sent to it or taken from it,
// and the Refusal says why. Where two nodes claim the same thing (a key, an
// endpoint, an address, overlapping pod CIDRs), the one that Config.Accepted
// shows to have held it keeps it and the other is refused; if neither did, both
// are: a name that sorts first must not be worth anything. This node's own
// claims always stand.
package plan

import (
	"cmp"
	"fmt"
	"math"
	"net/netip"
	"slices"

	"github.com/signet-cni/signet/overlay"
)

// Config is what holds for the whole cluster, and what this node remembers.
type Config struct {
	Cluster     overlay.ClusterID
	ClusterCIDR netip.Prefix   // IPv4: every pod CIDR lies in it
	ServiceCIDR netip.Prefix   // IPv4; invalid if unknown
	UnderlayMTU int            // bytes, of the device that owns the node address
	Accepted    []overlay.Node // Result.Accepted of the plan before; nil after a start
}

// Result is a whole plan. Slices are sorted.
type Result struct {
	Prefix    netip.Prefix // this node's tunnel /64
	Address   netip.Addr   // this node's IPv4 address: the host's source in the tunnel
	MTU       overlay.MTU
	Peers     []overlay.Peer     // by name
	Locations []overlay.Location // by prefix
	Routes    []overlay.Route    // by metric
	Refused   []Refusal          // by name, then reason
	Accepted  []overlay.Node     // by name: the nodes behind Peers
}

// blockMetric is worse than that of any route made by someone else.
const blockMetric = math.MaxUint32

// Compute plans for self among nodes; an entry of nodes with self's name is
// self's own publication and ignored. self needs a public key, one IPv4 pod
// CIDR inside the cluster CIDR and an IPv4 address outside the pod and service
// ranges. An error means that there is no plan at all: configuration or self
// are wrong, or the underlay is too small.
func Compute(self overlay.Node, nodes []overlay.Node, cfg Config) (Result, error) {
	own, err := checkSelf(self, cfg)
	if err != nil {
		return Result{}, err
	}
	mtu, err := SizesFor(cfg.UnderlayMTU)
	if err != nil {
		return Result{}, err
	}
	good, refused := judge(own, nodes, cfg)
	r := Result{
		Prefix: own.prefix, Address: own.address(), MTU: mtu, Refused: refused,
		Routes: routes(own.address(), cfg.ClusterCIDR, mtu),
	}
	r.locate(own, overlay.LocalPods, overlay.LocalHost)
	for _, c := range good {
		r.Accepted = append(r.Accepted, c.node)
		r.Peers = append(r.Peers, overlay.Peer{
			Name: c.node.Name, PublicKey: c.node.PublicKey, Endpoint: c.node.Endpoint,
			AllowedIPs: []netip.Prefix{c.prefix}, Detour: c.node.Detour,
		})
		r.locate(c, overlay.RemotePods, overlay.RemoteNode)
	}
	slices.SortFunc(r.Locations, func(a, b overlay.Location) int { return comparePrefix(a.Prefix, b.Prefix) })
	return r, nil
}

// locate adds a node's pod CIDR and its IPv4 addresses.
func (r *Result) locate(c candidate, pods, host overlay.Kind) {
	base := c.prefix.Addr()
	r.Locations = append(r.Locations, overlay.Location{Prefix: c.podCIDR, Kind: pods, TunnelPrefix: base})
	for _, a := range c.addresses {
		p := netip.PrefixFrom(a, a.BitLen())
		r.Locations = append(r.Locations, overlay.Location{Prefix: p, Kind: host, TunnelPrefix: base})
	}
}

// routes leads the whole cluster range into the tunnel. Behind that route
// stands one that refuses: when the device goes down the kernel deletes the
// first, and the default route would carry pod traffic in plaintext.
func routes(source netip.Addr, cluster netip.Prefix, mtu overlay.MTU) []overlay.Route {
	return []overlay.Route{
		{Destination: cluster, Source: source, MTU: mtu.Pods},
		{Destination: cluster, Unreachable: true, Metric: blockMetric},
	}
}

func comparePrefix(a, b netip.Prefix) int {
	return cmp.Or(a.Addr().Compare(b.Addr()), cmp.Compare(a.Bits(), b.Bits()))
}

// Bytes that each layer adds.
const (
	wireGuardOverhead = 80 // IPv6 40, UDP 8, WireGuard header 16 and tag 16
	translateOverhead = 20 // an IPv6 header is 40 bytes, an IPv4 header 20

	minPodMTU = 576   // what every IPv4 host must be able to receive (RFC 791)
	maxMTU    = 65535 // an IP packet's largest size
)

// SizesFor derives the MTUs from that of the underlay, in bytes: the device's
// is 80 less, so that it fits an IPv6 underlay too, and the pods' another 20. A
// fragment of an IPv4 packet grows by 28: one that fills the pods' MTU exceeds
// the device's by up to 8 bytes, which the 20 bytes of slack of an IPv4
// underlay hold. It fails where pods would have less than 576.
func SizesFor(underlay int) (overlay.MTU, error) {
	device := min(underlay, maxMTU) - wireGuardOverhead
	pods := device - translateOverhead
	if pods < minPodMTU {
		return overlay.MTU{}, fmt.Errorf("underlay MTU %d leaves %d bytes for pods, want %d at least", underlay, pods, minPodMTU)
	}
	return overlay.MTU{Device: device, Pods: pods}, nil
}
