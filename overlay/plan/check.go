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
	node      overlay.Node
	podCIDR   netip.Prefix // IPv4
	prefix    netip.Prefix // its tunnel /64
	addresses []netip.Addr // IPv4, as published, without duplicates
}

// address is the first, for this node's own entry only.
func (c candidate) address() netip.Addr { return c.addresses[0] }

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
	if len(c.addresses) == 0 {
		return candidate{}, fmt.Errorf("this node has no IPv4 address")
	}
	return c, nil
}

func checkConfig(cfg Config) error {
	if !ipv4Range(cfg.ClusterCIDR) {
		return fmt.Errorf("cluster CIDR %s is not an IPv4 range", cfg.ClusterCIDR)
	}
	if !cfg.ServiceCIDR.IsValid() {
		return nil
	}
	if !ipv4Range(cfg.ServiceCIDR) {
		return fmt.Errorf("service CIDR %s is not an IPv4 range", cfg.ServiceCIDR)
	}
	if cfg.ServiceCIDR.Overlaps(cfg.ClusterCIDR) {
		return fmt.Errorf("service CIDR %s overlaps cluster CIDR %s", cfg.ServiceCIDR, cfg.ClusterCIDR)
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

// describe reads a node's pod CIDR and addresses.
func describe(n overlay.Node, cfg Config) (candidate, *Refusal) {
	refuse := func(r Reason, format string, args ...any) (candidate, *Refusal) {
		return candidate{}, &Refusal{Node: n.Name, Reason: r, Detail: fmt.Sprintf(format, args...)}
	}
	podCIDR, err := onlyIPv4(n.PodCIDRs)
	if err != nil {
		return refuse(BadPodCIDR, "%s", err)
	}
	if podCIDR.Bits() < cfg.ClusterCIDR.Bits() || !cfg.ClusterCIDR.Contains(podCIDR.Addr()) {
		return refuse(OutsideCluster, "pod CIDR %s is outside the cluster CIDR %s", podCIDR, cfg.ClusterCIDR)
	}
	prefix, err := overlay.Prefix(cfg.Cluster, podCIDR)
	if err != nil {
		return refuse(BadPodCIDR, "%s", err)
	}
	c := candidate{node: n, podCIDR: podCIDR, prefix: prefix}
	for _, a := range n.Addresses {
		if !usable(a, cfg) {
			return refuse(BadAddress, "%s is no address that a node can have", a)
		}
		if a.Is4() && !slices.Contains(c.addresses, a) {
			c.addresses = append(c.addresses, a)
		}
	}
	return c, nil
}

// onlyIPv4 finds the one IPv4 range among at most one of each family.
func onlyIPv4(cidrs []netip.Prefix) (netip.Prefix, error) {
	var v4, v6 []netip.Prefix
	for _, p := range cidrs {
		switch {
		case !p.IsValid() || p != p.Masked():
			return netip.Prefix{}, fmt.Errorf("pod CIDR %s is malformed", p)
		case p.Addr().Is4():
			v4 = append(v4, p)
		default:
			v6 = append(v6, p)
		}
	}
	if len(v4) != 1 || len(v6) > 1 {
		return netip.Prefix{}, fmt.Errorf("pod CIDRs %v are not one of IPv4 and at most one of IPv6", cidrs)
	}
	return v4[0], nil
}

// usable reports whether a node can have the address a on the underlay.
func usable(a netip.Addr, cfg Config) bool {
	if !a.IsValid() || a.Is4In6() || a.Zone() != "" || !a.IsGlobalUnicast() {
		return false
	}
	if a.Is4() && (a.As4()[0] == 0 || a.As4()[0] >= 240) { // "this network", class E
		return false
	}
	inTunnel := a.Is6() && a.As16()[0] == 0xfd && [3]byte(a.AsSlice()[1:4]) == cfg.Cluster
	inServices := cfg.ServiceCIDR.IsValid() && cfg.ServiceCIDR.Contains(a)
	return !inTunnel && !inServices && !cfg.ClusterCIDR.Contains(a)
}

func ipv4Range(p netip.Prefix) bool {
	return p.IsValid() && p.Addr().Is4() && p == p.Masked()
}
