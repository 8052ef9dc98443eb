package plan

import (
	"fmt"
	"math"
	"net/netip"
	"slices"

	"golang.zx2c4.com/wireguard/wgctrl/wgtypes"

	"github.com/signet-cni/signet/overlay"
)

// candidate is a node whose own statements make sense.
type candidate struct {
	node       overlay.Node
	pods       overlay.Ranges // V6 is a /64, if valid
	prefix     netip.Prefix   // its tunnel /64
	addresses  []netip.Addr   // IPv4, as published, without duplicates
	addresses6 []netip.Addr   // IPv6 likewise: the n-th has number n in the tunnel
}

// hostAddress is what the node's own traffic in IPv4 comes from: its first
// address or, if it published none, the first of its pod range, which no pod
// gets.
func (c candidate) hostAddress() netip.Addr {
	if len(c.addresses) > 0 {
		return c.addresses[0]
	}
	return c.pods.V4.Addr().Next()
}

// hostAddress6 is hostAddress of IPv6; invalid if the node has no IPv6 pods.
func (c candidate) hostAddress6() netip.Addr {
	switch {
	case !c.pods.V6.IsValid():
		return netip.Addr{}
	case len(c.addresses6) > 0:
		return c.addresses6[0]
	}
	return overlay.PodAddr(c.pods.V6, 1)
}

// checkSelf reads this node's own entry and the configuration.
func checkSelf(self overlay.Node, cfg Config) (candidate, error) {
	if err := checkConfig(cfg); err != nil {
		return candidate{}, err
	}
	if self.Name == "" {
		return candidate{}, fmt.Errorf("this node has no name")
	}
	if self.PublicKey == (wgtypes.Key{}) {
		return candidate{}, fmt.Errorf("this node has no key")
	}
	c, refusal := describe(self, cfg)
	if refusal != nil {
		return candidate{}, fmt.Errorf("this node: %s", refusal.Detail)
	}
	if len(c.addresses)+len(c.addresses6) == 0 {
		return candidate{}, fmt.Errorf("this node has no address")
	}
	return c, nil
}

func checkConfig(cfg Config) error {
	if _, err := overlay.RangesOf(cfg.ClusterCIDR.List()); err != nil {
		return fmt.Errorf("cluster CIDR: %w", err)
	}
	tunnel := overlay.Ranges{V6: cfg.Cluster.Range()}
	if cfg.ClusterCIDR.Overlaps(tunnel) {
		return fmt.Errorf("cluster CIDR %s overlaps the tunnel's own range %s", cfg.ClusterCIDR.V6, tunnel.V6)
	}
	if len(cfg.ServiceCIDR.List()) == 0 {
		return nil
	}
	if _, err := overlay.RangesOf(cfg.ServiceCIDR.List()); err != nil {
		return fmt.Errorf("service CIDR: %w", err)
	}
	if cfg.ServiceCIDR.Overlaps(tunnel) {
		return fmt.Errorf("service CIDR %s overlaps the tunnel's own range %s", cfg.ServiceCIDR.V6, tunnel.V6)
	}
	if cfg.ServiceCIDR.Overlaps(cfg.ClusterCIDR) {
		return fmt.Errorf("service CIDRs %v overlap cluster CIDRs %v", cfg.ServiceCIDR.List(), cfg.ClusterCIDR.List())
	}
	return nil
}

// check reads what a remote node says of itself, without regard to others.
func check(n overlay.Node, cfg Config) (candidate, *Refusal) {
	if n.Name == "" {
		return candidate{}, &Refusal{Reason: BadName, Detail: "it has no name"}
	}
	if n.PublicKey == (wgtypes.Key{}) {
		return candidate{}, &Refusal{Node: n.Name, Reason: BadKey, Detail: "its key is all zeros"}
	}
	if n.PublicKey == n.Detour.PublicKey {
		return candidate{}, &Refusal{Node: n.Name, Reason: BadKey, Detail: "both its devices have the same key"}
	}
	if n.Endpoint.Port() == 0 || n.Endpoint.Port() == math.MaxUint16 || !usable(n.Endpoint.Addr(), cfg) {
		return candidate{}, &Refusal{
			Node: n.Name, Reason: BadEndpoint,
			Detail: fmt.Sprintf("%s is no endpoint that a node can have", n.Endpoint),
		}
	}
	return describe(n, cfg)
}

// describe reads a node's pod CIDRs and addresses.
func describe(n overlay.Node, cfg Config) (candidate, *Refusal) {
	refuse := func(r Reason, format string, args ...any) (candidate, *Refusal) {
		return candidate{}, &Refusal{Node: n.Name, Reason: r, Detail: fmt.Sprintf(format, args...)}
	}
	pods, err := overlay.RangesOf(n.PodCIDRs)
	if err != nil {
		return refuse(BadPodCIDR, "pod CIDRs: %s", err)
	}
	if !cfg.ClusterCIDR.V6.IsValid() {
		pods.V6 = netip.Prefix{} // the cluster has no IPv6 pods
	}
	if pods.V4.Bits() > maxPodBits {
		return refuse(BadPodCIDR, "pod CIDR %s has no address for pods: it must be a /%d or larger", pods.V4, maxPodBits)
	}
	if pods.V6.IsValid() {
		if err := overlay.CheckPrefix6(cfg.Cluster, pods.V6); err != nil {
			return refuse(BadPodCIDR, "%s", err)
		}
	}
	for n, p := range pods.List() {
		if within := cfg.ClusterCIDR.List()[n]; p.Bits() < within.Bits() || !within.Contains(p.Addr()) {
			return refuse(OutsideCluster, "pod CIDR %s is outside the cluster CIDR %s", p, within)
		}
	}
	prefix, err := overlay.Prefix(cfg.Cluster, pods.V4)
	if err != nil {
		return refuse(BadPodCIDR, "%s", err)
	}
	c := candidate{node: n, pods: pods, prefix: prefix}
	for _, a := range n.Addresses {
		if !usable(a, cfg) {
			return refuse(BadAddress, "%s is no address that a node can have", a)
		}
		c.add(a)
	}
	if len(c.addresses6) > overlay.MaxHostNumber {
		return refuse(BadAddress, "%d IPv6 addresses, more than %d", len(c.addresses6), overlay.MaxHostNumber)
	}
	return c, nil
}

// maxPodBits makes sure that a pod range has an address for its node.
const maxPodBits = 30

// add sorts an address by family and passes over a duplicate.
func (c *candidate) add(a netip.Addr) {
	list := &c.addresses6
	if a.Is4() {
		list = &c.addresses
	}
	if !slices.Contains(*list, a) {
		*list = append(*list, a)
	}
}

// usable reports whether a node can have the address a on the underlay.
func usable(a netip.Addr, cfg Config) bool {
	if !a.IsValid() || a.Is4In6() || a.Zone() != "" || !a.IsGlobalUnicast() {
		return false
	}
	if a.Is4() && (a.As4()[0] == 0 || a.As4()[0] >= 240) { // "this network", class E
		return false
	}
	return !cfg.Cluster.Range().Contains(a) && !cfg.ServiceCIDR.Contains(a) && !cfg.ClusterCIDR.Contains(a)
}
