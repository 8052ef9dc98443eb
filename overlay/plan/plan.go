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
	ClusterCIDR overlay.Ranges // every pod CIDR lies in them; no V6: no IPv6 pods
	ServiceCIDR overlay.Ranges // none if unknown
	UnderlayMTU int            // bytes, of the device that owns the node address
	Accepted    []overlay.Node // Result.Accepted of the plan before; after a start what Inherit gives
	// Joining are addresses of machines that are nodes but have published no
	// tunnel: nothing goes there.
	Joining []netip.Addr
}

// Result is a whole plan. Slices are sorted.
type Result struct {
	Prefix netip.Prefix   // this node's tunnel /64
	Pods   overlay.Ranges // this node's pod CIDRs
	// Address and Address6 are this node's own: the host's source in the
	// tunnel. A node that published none of a family uses the first of its pod
	// CIDR, which no pod gets. Address6 is invalid where there is no IPv6, and
	// where the MTU leaves no room for it.
	Address, Address6 netip.Addr

	MTU       overlay.MTU
	Peers     []overlay.Peer     // by name
	Locations []overlay.Location // by prefix
	Routes    []overlay.Route    // by family, then metric
	Refused   []Refusal          // by name, then reason
	Accepted  []overlay.Node     // by name: the nodes behind Peers
}

// blockMetric is worse than that of any route made by someone else.
const blockMetric = math.MaxUint32

// Compute plans for self among nodes; an entry of nodes with self's name is
// self's own publication and ignored. self needs a public key, one IPv4 pod
// CIDR inside the cluster CIDR, at most one of IPv6, and an address outside the
// pod and service ranges; see Trim. An error means that there is no plan at all: configuration or self
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
	r := Result{Prefix: own.prefix, Pods: own.pods, Address: own.hostAddress(), MTU: mtu, Refused: refused}
	if mtu.Pods >= minPodMTU6 {
		r.Address6 = own.hostAddress6()
	}
	r.Routes = append(routes(r.Address, cfg.ClusterCIDR.V4, 0, mtu), routes(r.Address6, cfg.ClusterCIDR.V6, metric6, mtu)...)
	r.close(cfg)
	r.locate(own, overlay.LocalPods, overlay.LocalHost)
	for _, c := range good {
		r.Accepted = append(r.Accepted, c.node)
		r.Peers = append(r.Peers, overlay.Peer{
			Name: c.node.Name, PublicKey: c.node.PublicKey, Endpoint: c.node.Endpoint,
			AllowedIPs: overlay.Ranges{V4: c.prefix, V6: c.pods.V6}.List(), Detour: c.node.Detour,
		})
		r.locate(c, overlay.RemotePods, overlay.RemoteNode)
	}
	r.await(cfg)
	slices.SortFunc(r.Locations, func(a, b overlay.Location) int { return comparePrefix(a.Prefix, b.Prefix) })
	return r, nil
}

// close adds the ranges whose addresses go to a known node or nowhere.
func (r *Result) close(cfg Config) {
	for _, p := range append(cfg.ClusterCIDR.List(), cfg.Cluster.Range()) {
		r.Locations = append(r.Locations, overlay.Location{Prefix: p, Kind: overlay.Closed})
	}
}

// await adds the addresses of machines that are about to be peers, but for those
// that nobody can have or a known node has.
func (r *Result) await(cfg Config) {
	known := make(map[netip.Prefix]bool, len(r.Locations))
	for _, l := range r.Locations {
		known[l.Prefix] = true
	}
	for _, a := range cfg.Joining {
		if usable(a, cfg) && !known[only(a)] {
			known[only(a)] = true
			r.Locations = append(r.Locations, overlay.Location{Prefix: only(a), Kind: overlay.Closed})
		}
	}
}

// locate adds a node's pod CIDRs and its own addresses.
func (r *Result) locate(c candidate, pods, host overlay.Kind) {
	add := func(p netip.Prefix, kind overlay.Kind, number uint32) {
		l := overlay.Location{Prefix: p, Kind: kind, TunnelPrefix: c.prefix.Addr(), Host: number}
		if p.Addr().Is6() {
			l.PodPrefix6 = c.pods.V6
		}
		r.Locations = append(r.Locations, l)
	}
	for _, p := range c.pods.List() {
		add(p, pods, 0)
	}
	for _, a := range ownOr(c.addresses, c.hostAddress()) {
		add(only(a), host, 0)
	}
	if c.pods.V6.IsValid() {
		for n, a := range ownOr(c.addresses6, c.hostAddress6()) {
			add(only(a), host, uint32(n+1))
		}
		return
	}
	if host == overlay.LocalHost {
		return // without IPv6 pods, nobody asks
	}
	for _, a := range c.addresses6 { // the tunnel has no way to say them
		r.Locations = append(r.Locations, overlay.Location{Prefix: only(a), Kind: overlay.Closed})
	}
}

// ownOr gives the addresses or, if there are none, the other one.
func ownOr(addresses []netip.Addr, other netip.Addr) []netip.Addr {
	if len(addresses) > 0 {
		return addresses
	}
	return []netip.Addr{other}
}

func only(a netip.Addr) netip.Prefix { return netip.PrefixFrom(a, a.BitLen()) }

// metric6 is what the kernel makes of 0 for an IPv6 route.
const metric6 = 1024

// routes leads the whole cluster range of a family into the tunnel. Behind that
// route stands one that refuses: when the device goes down the kernel deletes
// the first, and the default route would carry pod traffic in plaintext. Without
// a source, which is without IPv6 pods, the second is all there is.
func routes(source netip.Addr, cluster netip.Prefix, metric uint32, mtu overlay.MTU) []overlay.Route {
	if !cluster.IsValid() {
		return nil
	}
	block := overlay.Route{Destination: cluster, Unreachable: true, Metric: blockMetric}
	if !source.IsValid() {
		return []overlay.Route{block}
	}
	return []overlay.Route{{Destination: cluster, Source: source, Metric: metric, MTU: mtu.Pods}, block}
}

func comparePrefix(a, b netip.Prefix) int {
	return cmp.Or(a.Addr().Compare(b.Addr()), cmp.Compare(a.Bits(), b.Bits()))
}

// Bytes that each layer adds.
const (
	wireGuardOverhead = 80 // IPv6 40, UDP 8, WireGuard header 16 and tag 16
	translateOverhead = 20 // an IPv6 header is 40 bytes, an IPv4 header 20

	minPodMTU  = 576   // what every IPv4 host must be able to receive (RFC 791)
	minPodMTU6 = 1280  // what every IPv6 link must carry (RFC 8200 section 5)
	maxMTU     = 65535 // an IP packet's largest size
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
