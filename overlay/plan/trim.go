package plan

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/signet-cni/signet/overlay"
)

// Trim takes out of what a node would publish the IPv6 pod CIDR that it cannot
// use, and says why; "" if there is nothing to say. IPv4 goes on without it.
func Trim(self overlay.Node, cfg Config) (overlay.Node, string) {
	var why string
	self.PodCIDRs = slices.DeleteFunc(slices.Clone(self.PodCIDRs), func(p netip.Prefix) bool {
		if p.Addr().Is4() {
			return false
		}
		why = unusable6(p, cfg)
		return why != ""
	})
	return self, why
}

func unusable6(p netip.Prefix, cfg Config) string {
	const so = "; the node's pods get no IPv6 address"
	within := cfg.ClusterCIDR.V6
	if !within.IsValid() {
		return fmt.Sprintf("pod CIDR %s is not used: clusterCIDR has no IPv6 range%s", p, so)
	}
	if err := overlay.CheckPrefix6(cfg.Cluster, p); err != nil {
		return fmt.Sprintf("%s: give the controller manager --node-cidr-mask-size-ipv6=64%s", err, so)
	}
	if p.Bits() < within.Bits() || !within.Contains(p.Addr()) {
		return fmt.Sprintf("pod CIDR %s is outside the cluster CIDR %s%s", p, within, so)
	}
	return ""
}
