package plan

import (
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/signet-cni/signet/overlay"
)

// dual is config of a cluster with ranges of both families.
var dual = func() Config {
	cfg := config
	cfg.ClusterCIDR = ranges("10.244.0.0/16", "fd10:244::/48")
	cfg.ServiceCIDR = ranges("10.96.0.0/12", "fd10:96::/112")
	return cfg
}()

// pods6 is the IPv6 pod CIDR of node i.
func pods6(i byte) netip.Prefix {
	return netip.PrefixFrom(netip.AddrFrom16([16]byte{0xfd, 0x10, 0x02, 0x44, 7: i}), 64)
}

// number6 is number, with an IPv6 range fd10:244:0:i::/64 and address 2001:db8::i.
func number6(i byte) overlay.Node {
	n := number(i)
	n.PodCIDRs = append(n.PodCIDRs, pods6(i))
	n.Addresses = append(n.Addresses, netip.AddrFrom16([16]byte{0x20, 0x01, 0x0d, 0xb8, 15: i}))
	return n
}

func compute6(t *testing.T, self overlay.Node, cfg Config, nodes ...overlay.Node) Result {
	t.Helper()
	r, err := Compute(self, nodes, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// locationOf finds the row of a prefix.
func locationOf(r Result, prefix string) overlay.Location {
	p := netip.MustParsePrefix(prefix)
	for _, l := range r.Locations {
		if l.Prefix == p {
			return l
		}
	}
	return overlay.Location{}
}

func TestComputeDualStack(t *testing.T) {
	two := number6(2)
	two.Addresses = append(two.Addresses, netip.MustParseAddr("2001:db8:1::2"), two.Addresses[1], netip.MustParseAddr("2001:db8:2::2"))
	plain := number(3)
	plain.Addresses = append(plain.Addresses, netip.MustParseAddr("2001:db8::3"))
	got := compute6(t, number6(0), dual, number6(1), two, plain)
	if len(got.Refused) != 0 || got.Pods.V6 != pods6(0) || got.Address6 != netip.MustParseAddr("2001:db8::") {
		t.Errorf("refused %v, pods %v, address %s", got.Refused, got.Pods, got.Address6)
	}
	base := func(i byte) netip.Addr { return netip.AddrFrom16([16]byte{0xfd, 0x51, 0xa2, 0xb3, 10, 244, i, 0}) }
	for prefix, want := range map[string]overlay.Location{
		"fd10:244::/48":       {Kind: overlay.Closed},
		"fd51:a2b3::/32":      {Kind: overlay.Closed},
		"fd10:244::/64":       {Kind: overlay.LocalPods, TunnelPrefix: base(0), PodPrefix6: pods6(0)},
		"2001:db8::/128":      {Kind: overlay.LocalHost, TunnelPrefix: base(0), PodPrefix6: pods6(0), Host: 1},
		"fd10:244:0:1::/64":   {Kind: overlay.RemotePods, TunnelPrefix: base(1), PodPrefix6: pods6(1)},
		"2001:db8::1/128":     {Kind: overlay.RemoteNode, TunnelPrefix: base(1), PodPrefix6: pods6(1), Host: 1},
		"2001:db8::2/128":     {Kind: overlay.RemoteNode, TunnelPrefix: base(2), PodPrefix6: pods6(2), Host: 1},
		"2001:db8:1::2/128":   {Kind: overlay.RemoteNode, TunnelPrefix: base(2), PodPrefix6: pods6(2), Host: 2},
		"2001:db8:2::2/128":   {Kind: overlay.RemoteNode, TunnelPrefix: base(2), PodPrefix6: pods6(2), Host: 3},
		"2001:db8::3/128":     {Kind: overlay.Closed}, // no range to say it with
		"10.244.3.0/24":       {Kind: overlay.RemotePods, TunnelPrefix: base(3)},
		"fd10:244:0:1::1/128": {}, // has addresses of its own
	} {
		if want.Kind != 0 {
			want.Prefix = netip.MustParsePrefix(prefix)
		}
		if l := locationOf(got, prefix); l != want {
			t.Errorf("%s: %+v, want %+v", prefix, l, want)
		}
	}
	wantRoutes := []overlay.Route{
		{Destination: dual.ClusterCIDR.V4, Source: netip.MustParseAddr("192.0.2.0"), MTU: 1400},
		{Destination: dual.ClusterCIDR.V4, Unreachable: true, Metric: 0xffffffff},
		{Destination: dual.ClusterCIDR.V6, Source: netip.MustParseAddr("2001:db8::"), MTU: 1400, Metric: 1024},
		{Destination: dual.ClusterCIDR.V6, Unreachable: true, Metric: 0xffffffff},
	}
	if !reflect.DeepEqual(got.Routes, wantRoutes) {
		t.Errorf("routes %+v", got.Routes)
	}
	if p := got.Peers[0]; !slices.Equal(p.AllowedIPs, []netip.Prefix{netip.PrefixFrom(base(1), 64), pods6(1)}) {
		t.Errorf("peer %+v", p)
	}
	if p := got.Peers[2]; len(p.AllowedIPs) != 1 {
		t.Errorf("peer without IPv6 pods %+v", p)
	}
}

// TestOneFamilyOfAddresses: a node speaks from its pod range in the family in
// which it has no address, and every node knows that.
func TestOneFamilyOfAddresses(t *testing.T) {
	four, six := number6(1), number6(2)
	four.Addresses, six.Addresses = four.Addresses[:1], six.Addresses[1:]
	six.Endpoint = netip.MustParseAddrPort("[2001:db8::2]:51872")
	for _, self := range []overlay.Node{number6(0), four, six} {
		got := compute6(t, self, dual, number6(0), four, six)
		if len(got.Refused) != 0 || len(got.Peers) != 2 {
			t.Fatalf("refused %v", got.Refused)
		}
		kind := func(n overlay.Node) overlay.Kind {
			if n.Name == self.Name {
				return overlay.LocalHost
			}
			return overlay.RemoteNode
		}
		if l := locationOf(got, "fd10:244:0:1::1/128"); l.Kind != kind(four) || l.Host != 1 || l.PodPrefix6 != pods6(1) {
			t.Errorf("%s: %+v", self.Name, l)
		}
		if l := locationOf(got, "10.244.2.1/32"); l.Kind != kind(six) || l.Host != 0 {
			t.Errorf("%s: %+v", self.Name, l)
		}
	}
	if got := compute6(t, six, dual); got.Address != netip.MustParseAddr("10.244.2.1") || got.Address6 != six.Addresses[0] {
		t.Errorf("addresses %s and %s", got.Address, got.Address6)
	}
	if got := compute6(t, four, dual); got.Address != four.Addresses[0] || got.Address6 != netip.MustParseAddr("fd10:244:0:1::1") {
		t.Errorf("addresses %s and %s", got.Address, got.Address6)
	}
}

// TestClosedWithoutIPv6: where a node has no IPv6 pods, or no room for their
// packets, nothing of IPv6 leads into the tunnel, and none of it out.
func TestClosedWithoutIPv6(t *testing.T) {
	small := dual
	small.UnderlayMTU = 1280 + 99
	for name, got := range map[string]Result{
		"no range": compute6(t, number(0), dual, number6(1)), "small underlay": compute6(t, number6(0), small, number6(1)),
	} {
		want := overlay.Route{Destination: dual.ClusterCIDR.V6, Unreachable: true, Metric: 0xffffffff}
		if len(got.Routes) != 3 || got.Routes[2] != want || got.Address6.IsValid() {
			t.Errorf("%s: routes %+v, address %s", name, got.Routes, got.Address6)
		}
	}
	small.UnderlayMTU++
	if got := compute6(t, number6(0), small); !got.Address6.IsValid() {
		t.Error("1380 bytes are enough")
	}
}

// TestRefusals6 is TestRefusals of IPv6.
func TestRefusals6(t *testing.T) {
	many := func(n *overlay.Node) {
		for i := range byte(overlay.MaxHostNumber) {
			n.Addresses = append(n.Addresses, netip.AddrFrom16([16]byte{0x20, 0x01, 0x0d, 0xb8, 14: 1, 15: i}))
		}
	}
	both := func(v6 string) func(*overlay.Node) { return cidrs("10.244.1.0/24", v6) }
	for _, c := range []struct {
		name   string
		change func(*overlay.Node)
		want   Reason
		other  string
	}{
		{"a /56", both("fd10:244:0:100::/56"), BadPodCIDR, ""},
		{"a /80", both("fd10:244:0:1::/80"), BadPodCIDR, ""},
		{"bits behind the length", both("fd10:244:0:1::1/64"), BadPodCIDR, ""},
		{"a range in the tunnel's", both("fd51:a2b3:af4:100::/64"), BadPodCIDR, ""},
		{"outside the cluster", both("fd10:245::/64"), OutsideCluster, ""},
		{"inside the service range's /64", both("fd10:96::/64"), OutsideCluster, ""},
		{"around the cluster", both("fd10::/16"), BadPodCIDR, ""},
		{"our pod CIDR", both("fd10:244::/64"), OverlappingCIDR, "node-a"},
		{"our address", address("2001:db8::"), DuplicateAddress, "node-a"},
		{"address in the pod range", address("fd10:244:0:1::1"), BadAddress, ""},
		{"address in the service range", address("fd10:96::1"), BadAddress, ""},
		{"address in the tunnel", address("fd51:a2b3:af4:100::1"), BadAddress, ""},
		{"link-local address", address("fe80::1"), BadAddress, ""},
		{"address with a zone", func(n *overlay.Node) { n.Addresses = []netip.Addr{netip.MustParseAddr("2001:db8::7%eth0")} }, BadAddress, ""},
		{"multicast address", address("ff02::1"), BadAddress, ""},
		{"too many addresses", many, BadAddress, ""},
		{"endpoint in the pod range", endpoint("[fd10:244:0:1::10]:51872"), BadEndpoint, ""},
		{"endpoint in the service range", endpoint("[fd10:96::1]:51872"), BadEndpoint, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			bad := number6(1)
			c.change(&bad)
			got := compute6(t, number6(0), dual, bad, number6(2))
			if len(got.Refused) != 1 || got.Refused[0].Reason != c.want || got.Refused[0].Other != c.other || got.Refused[0].Detail == "" {
				t.Errorf("got %+v", got.Refused)
			}
			if !reflect.DeepEqual(names(got), []string{"node-c"}) {
				t.Errorf("peers %v", names(got))
			}
		})
	}
}

// TestConflict6: of two strangers that claim one IPv6 range or address neither
// gets it; who held it keeps it.
func TestConflict6(t *testing.T) {
	for name, change := range map[string]func(thief *overlay.Node){
		"range":   func(n *overlay.Node) { n.PodCIDRs[1] = pods6(1) },
		"address": func(n *overlay.Node) { n.Addresses[1] = number6(1).Addresses[1] },
	} {
		t.Run(name, func(t *testing.T) {
			thief := number6(2)
			change(&thief)
			strangers := compute6(t, number6(0), dual, number6(1), thief, number6(3))
			if !reflect.DeepEqual(names(strangers), []string{"node-d"}) || len(strangers.Refused) != 2 {
				t.Errorf("peers %v, refused %v", names(strangers), strangers.Refused)
			}
			cfg := dual
			cfg.Accepted = compute6(t, number6(0), dual, number6(1), number6(2), number6(3)).Accepted
			held := compute6(t, number6(0), cfg, number6(1), thief, number6(3))
			if !reflect.DeepEqual(names(held), []string{"node-b", "node-d"}) || len(held.Refused) != 1 || held.Refused[0].Other != "node-b" {
				t.Errorf("peers %v, refused %v", names(held), held.Refused)
			}
		})
	}
}

func TestConfig6(t *testing.T) {
	for name, change := range map[string]func(*Config){
		"services among pods":       func(c *Config) { c.ServiceCIDR = ranges("10.96.0.0/12", "fd10:244:0:9::/112") },
		"pods in the tunnel":        func(c *Config) { c.ClusterCIDR = ranges("10.244.0.0/16", "fd51:a2b3:1::/48") },
		"pods around the tunnel":    func(c *Config) { c.ClusterCIDR = ranges("10.244.0.0/16", "fd00::/8") },
		"services in the tunnel":    func(c *Config) { c.ServiceCIDR = ranges("10.96.0.0/12", "fd51:a2b3::/112") },
		"bits behind the length":    func(c *Config) { c.ClusterCIDR.V6 = netip.MustParsePrefix("fd10:244::1/48") },
		"mapped IPv4":               func(c *Config) { c.ClusterCIDR.V6 = netip.MustParsePrefix("::ffff:10.0.0.0/104") },
		"families the wrong way up": func(c *Config) { c.ClusterCIDR.V4, c.ClusterCIDR.V6 = c.ClusterCIDR.V6, c.ClusterCIDR.V4 },
	} {
		cfg := dual
		change(&cfg)
		if _, err := Compute(number6(0), nil, cfg); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestTrim(t *testing.T) {
	for _, c := range []struct {
		cfg   Config
		cidr  string
		words string
	}{
		{dual, "fd10:244:0:1::/64", ""},
		{config, "fd10:244:0:1::/64", "clusterCIDR has no IPv6 range"},
		{dual, "fd10:244:0:1::/80", "--node-cidr-mask-size-ipv6=64"},
		{dual, "fd10:245::/64", "outside the cluster CIDR"},
	} {
		self := number(1)
		self.PodCIDRs = append(prefixes(c.cidr), self.PodCIDRs...)
		got, why := Trim(self, c.cfg)
		if c.words == "" {
			if why != "" || len(got.PodCIDRs) != 2 {
				t.Errorf("%s: %s", c.cidr, why)
			}
			continue
		}
		if !strings.Contains(why, c.words) || !strings.Contains(why, "no IPv6 address") || !slices.Equal(got.PodCIDRs, number(1).PodCIDRs) {
			t.Errorf("%s: %v, %s", c.cidr, got.PodCIDRs, why)
		}
		if len(self.PodCIDRs) != 2 {
			t.Error("the argument was changed")
		}
		compute6(t, got, c.cfg)
	}
}
