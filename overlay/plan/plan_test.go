package plan

import (
	"math/rand/v2"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"

	"golang.zx2c4.com/wireguard/wgctrl/wgtypes"

	"github.com/signet-cni/signet/overlay"
)

var config = Config{
	Cluster:     overlay.ClusterID{0x51, 0xa2, 0xb3},
	ClusterCIDR: ranges("10.244.0.0/16"),
	ServiceCIDR: ranges("10.96.0.0/12"),
	UnderlayMTU: 1500,
}

func ranges(list ...string) overlay.Ranges {
	r, err := overlay.RangesOf(prefixes(list...))
	if err != nil {
		panic(err)
	}
	return r
}

// number makes node i with pod CIDR 10.244.i.0/24 and address 192.0.2.i.
func number(i byte) overlay.Node {
	address := netip.AddrFrom4([4]byte{192, 0, 2, i})
	return overlay.Node{
		Name: "node-" + string('a'+rune(i)), PublicKey: wgtypes.Key{i, 1},
		Endpoint:  netip.AddrPortFrom(address, overlay.DefaultPort),
		PodCIDRs:  []netip.Prefix{netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 244, i, 0}), 24)},
		Addresses: []netip.Addr{address},
	}
}

func compute(t *testing.T, cfg Config, nodes ...overlay.Node) Result {
	t.Helper()
	r, err := Compute(number(0), nodes, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestCompute(t *testing.T) {
	two := number(2)
	two.PodCIDRs = append(two.PodCIDRs, netip.MustParsePrefix("fd10:244:2::/64"))
	two.Addresses = append(two.Addresses, two.Addresses[0], netip.MustParseAddr("2001:db8::2"), netip.MustParseAddr("198.51.100.2"))
	got := compute(t, config, two, number(1), number(0))
	base := func(i byte) netip.Addr {
		return netip.AddrFrom16([16]byte{0xfd, 0x51, 0xa2, 0xb3, 10, 244, i, 0})
	}
	at := func(prefix string, kind overlay.Kind, i byte) overlay.Location {
		return overlay.Location{Prefix: netip.MustParsePrefix(prefix), Kind: kind, TunnelPrefix: base(i)}
	}
	peer := func(n overlay.Node, i byte) overlay.Peer {
		return overlay.Peer{
			Name: n.Name, PublicKey: n.PublicKey, Endpoint: n.Endpoint,
			AllowedIPs: []netip.Prefix{netip.PrefixFrom(base(i), 64)},
		}
	}
	want := Result{
		Prefix:  netip.PrefixFrom(base(0), 64),
		Pods:    ranges("10.244.0.0/24"),
		Address: netip.MustParseAddr("192.0.2.0"),
		MTU:     overlay.MTU{Device: 1420, Pods: 1400},
		Peers:   []overlay.Peer{peer(number(1), 1), peer(two, 2)},
		Locations: []overlay.Location{
			{Prefix: config.ClusterCIDR.V4, Kind: overlay.Closed},
			at("10.244.0.0/24", overlay.LocalPods, 0),
			at("10.244.1.0/24", overlay.RemotePods, 1),
			at("10.244.2.0/24", overlay.RemotePods, 2),
			at("192.0.2.0/32", overlay.LocalHost, 0),
			at("192.0.2.1/32", overlay.RemoteNode, 1),
			at("192.0.2.2/32", overlay.RemoteNode, 2),
			at("198.51.100.2/32", overlay.RemoteNode, 2),
			{Prefix: netip.MustParsePrefix("2001:db8::2/128"), Kind: overlay.Closed},
			{Prefix: netip.MustParsePrefix("fd51:a2b3::/32"), Kind: overlay.Closed},
		},
		Routes: []overlay.Route{
			{Destination: config.ClusterCIDR.V4, Source: netip.MustParseAddr("192.0.2.0"), MTU: 1400},
			{Destination: config.ClusterCIDR.V4, Unreachable: true, Metric: 0xffffffff},
		},
		Accepted: []overlay.Node{number(1), two},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got\n%+v\nwant\n%+v", got, want)
	}
}

func TestComputeFails(t *testing.T) {
	for name, change := range map[string]func(self *overlay.Node, cfg *Config){
		"no name":                 func(n *overlay.Node, _ *Config) { n.Name = "" },
		"no key":                  func(n *overlay.Node, _ *Config) { n.PublicKey = wgtypes.Key{} },
		"no pod CIDR":             func(n *overlay.Node, _ *Config) { n.PodCIDRs = nil },
		"pod CIDR elsewhere":      func(n *overlay.Node, _ *Config) { n.PodCIDRs = prefixes("10.99.0.0/24") },
		"pod CIDR around":         func(n *overlay.Node, _ *Config) { n.PodCIDRs = prefixes("10.0.0.0/8") },
		"no address":              func(n *overlay.Node, _ *Config) { n.Addresses = nil },
		"address in the pod CIDR": func(n *overlay.Node, _ *Config) { n.Addresses = addrs("10.244.3.1") },
		"no cluster CIDR":         func(_ *overlay.Node, c *Config) { c.ClusterCIDR = overlay.Ranges{} },
		"IPv6 cluster CIDR": func(_ *overlay.Node, c *Config) {
			c.ClusterCIDR = overlay.Ranges{V6: netip.MustParsePrefix("fd00::/48")}
		},
		"services among pods":    func(_ *overlay.Node, c *Config) { c.ServiceCIDR = ranges("10.244.9.0/24") },
		"malformed service CIDR": func(_ *overlay.Node, c *Config) { c.ServiceCIDR.V4 = netip.MustParsePrefix("10.96.0.1/12") },
		"tiny underlay":          func(_ *overlay.Node, c *Config) { c.UnderlayMTU = 675 },
	} {
		self, cfg := number(0), config
		change(&self, &cfg)
		if r, err := Compute(self, nil, cfg); err == nil {
			t.Errorf("%s: got %+v, want an error", name, r)
		}
	}
	unknown := config
	unknown.ServiceCIDR = overlay.Ranges{}
	compute(t, unknown)
}

func prefixes(list ...string) (out []netip.Prefix) {
	for _, s := range list {
		out = append(out, netip.MustParsePrefix(s))
	}
	return out
}

func addrs(list ...string) (out []netip.Addr) {
	for _, s := range list {
		out = append(out, netip.MustParseAddr(s))
	}
	return out
}

func endpoint(s string) func(*overlay.Node) {
	return func(n *overlay.Node) { n.Endpoint = netip.MustParseAddrPort(s) }
}

func cidrs(list ...string) func(*overlay.Node) {
	return func(n *overlay.Node) { n.PodCIDRs = prefixes(list...) }
}

func address(s string) func(*overlay.Node) {
	return func(n *overlay.Node) { n.Addresses = addrs(s) }
}

// TestRefusals changes node-b (number 1) and asks whether it alone is refused.
func TestRefusals(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*overlay.Node)
		want   Reason
		other  string
	}{
		{"no name", func(n *overlay.Node) { n.Name = "" }, BadName, ""},
		{"no key", func(n *overlay.Node) { n.PublicKey = wgtypes.Key{} }, BadKey, ""},
		{"our key", func(n *overlay.Node) { n.PublicKey = number(0).PublicKey }, DuplicateKey, "node-a"},
		{"our key for its detour", func(n *overlay.Node) { n.Detour.PublicKey = number(0).PublicKey }, DuplicateKey, "node-a"},
		{"one key for both devices", func(n *overlay.Node) { n.Detour.PublicKey = n.PublicKey }, BadKey, ""},
		{"no port for its detour", func(n *overlay.Node) { n.Endpoint = netip.AddrPortFrom(n.Endpoint.Addr(), 65535) }, BadEndpoint, ""},
		{"no endpoint", func(n *overlay.Node) { n.Endpoint = netip.AddrPort{} }, BadEndpoint, ""},
		{"endpoint without port", endpoint("192.0.2.1:0"), BadEndpoint, ""},
		{"endpoint in the pod range", endpoint("10.244.7.1:51872"), BadEndpoint, ""},
		{"endpoint among our pods", endpoint("10.244.0.9:51872"), BadEndpoint, "node-a"},
		{"endpoint among another's pods", endpoint("10.244.2.9:51872"), BadEndpoint, "node-c"},
		{"endpoint among its own pods", endpoint("10.244.1.9:51872"), BadEndpoint, ""},
		{"endpoint in the service range", endpoint("10.96.0.1:51872"), BadEndpoint, ""},
		{"endpoint in the tunnel", endpoint("[fd51:a2b3::1]:51872"), BadEndpoint, ""},
		{"loopback endpoint", endpoint("127.0.0.1:51872"), BadEndpoint, ""},
		{"multicast endpoint", endpoint("224.0.0.1:51872"), BadEndpoint, ""},
		{"broadcast endpoint", endpoint("255.255.255.255:51872"), BadEndpoint, ""},
		{"zero endpoint", endpoint("0.0.0.1:51872"), BadEndpoint, ""},
		{"link-local endpoint", endpoint("[fe80::1%eth0]:51872"), BadEndpoint, ""},
		{"mapped endpoint", endpoint("[::ffff:192.0.2.1]:51872"), BadEndpoint, ""},
		{"our endpoint", endpoint("192.0.2.0:51872"), SameEndpoint, "node-a"},
		{"no pod CIDR", cidrs(), BadPodCIDR, ""},
		{"IPv6 pods only", cidrs("fd10::/64"), BadPodCIDR, ""},
		{"two IPv4 ranges", cidrs("10.244.1.0/24", "10.244.5.0/24"), BadPodCIDR, ""},
		{"two IPv6 ranges", cidrs("10.244.1.0/24", "fd10::/64", "fd11::/64"), BadPodCIDR, ""},
		{"bits behind the length", cidrs("10.244.1.1/24"), BadPodCIDR, ""},
		{"mapped pod CIDR", cidrs("::ffff:10.244.1.0/120"), BadPodCIDR, ""},
		{"zero prefix", func(n *overlay.Node) { n.PodCIDRs = []netip.Prefix{{}} }, BadPodCIDR, ""},
		{"outside the cluster", cidrs("10.245.1.0/24"), OutsideCluster, ""},
		{"around the cluster", cidrs("10.0.0.0/8"), OutsideCluster, ""},
		{"our pod CIDR", cidrs("10.244.0.0/24"), OverlappingCIDR, "node-a"},
		{"part of our pod CIDR", cidrs("10.244.0.128/25"), OverlappingCIDR, "node-a"},
		{"our address", address("192.0.2.0"), DuplicateAddress, "node-a"},
		{"address in the pod range", address("10.244.1.1"), BadAddress, ""},
		{"address in the service range", address("10.96.0.10"), BadAddress, ""},
		{"loopback address", address("127.0.0.1"), BadAddress, ""},
		{"zero address", func(n *overlay.Node) { n.Addresses = make([]netip.Addr, 1) }, BadAddress, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			bad := number(1)
			c.change(&bad)
			got := compute(t, config, bad, number(2))
			if len(got.Refused) != 1 || got.Refused[0].Reason != c.want || got.Refused[0].Node != bad.Name ||
				got.Refused[0].Other != c.other || got.Refused[0].Detail == "" {
				t.Errorf("got %+v", got.Refused)
			}
			if !reflect.DeepEqual(names(got), []string{"node-c"}) || len(got.Locations) != 6 {
				t.Errorf("peers %v, locations %v", names(got), got.Locations)
			}
		})
	}
}

func names(r Result) (out []string) {
	for _, p := range r.Peers {
		out = append(out, p.Name)
	}
	return out
}

// steal lets thief (number 2) claim something of victim (number 1).
var steal = map[Reason]func(thief *overlay.Node, victim overlay.Node){
	DuplicateKey:     func(n *overlay.Node, v overlay.Node) { n.PublicKey = v.PublicKey },
	SameEndpoint:     func(n *overlay.Node, v overlay.Node) { n.Endpoint = v.Endpoint },
	DuplicateAddress: func(n *overlay.Node, v overlay.Node) { n.Addresses = append(n.Addresses, v.Addresses...) },
	OverlappingCIDR:  func(n *overlay.Node, v overlay.Node) { n.PodCIDRs = v.PodCIDRs },
}

func TestConflictOfStrangers(t *testing.T) {
	for reason, change := range steal {
		t.Run(string(reason), func(t *testing.T) {
			thief := number(2)
			change(&thief, number(1))
			got := compute(t, config, number(1), thief, number(3))
			if !reflect.DeepEqual(names(got), []string{"node-d"}) || len(got.Refused) != 2 {
				t.Fatalf("peers %v, refused %v", names(got), got.Refused)
			}
			for i, other := range []string{"node-c", "node-b"} {
				if r := got.Refused[i]; r.Reason != reason || r.Other != other || !strings.Contains(r.String(), "node-b") || !strings.Contains(r.String(), "node-c") {
					t.Errorf("refusal %d: %+v", i, r)
				}
			}
		})
	}
}

func TestConflictWithHolder(t *testing.T) {
	for reason, change := range steal {
		t.Run(string(reason), func(t *testing.T) {
			cfg := config
			cfg.Accepted = compute(t, config, number(1), number(2), number(3)).Accepted
			thief := number(2)
			change(&thief, number(1))
			got := compute(t, cfg, thief, number(1), number(3))
			if !reflect.DeepEqual(names(got), []string{"node-b", "node-d"}) {
				t.Fatalf("peers %v", names(got))
			}
			if len(got.Refused) != 1 || got.Refused[0].Node != "node-c" || got.Refused[0].Other != "node-b" || got.Refused[0].Reason != reason {
				t.Errorf("refused %v", got.Refused)
			}
		})
	}
}

// TestGrownRange: a node that held a range must not win with a wider one of
// the same first address, and so of the same tunnel prefix.
func TestGrownRange(t *testing.T) {
	cfg := config
	cfg.Accepted = compute(t, config, number(4), number(5), number(6)).Accepted
	grown := number(4)
	grown.PodCIDRs = prefixes("10.244.4.0/22")
	got := compute(t, cfg, grown, number(5), number(6))
	if !reflect.DeepEqual(names(got), []string{"node-f", "node-g"}) || len(got.Refused) == 0 {
		t.Errorf("peers %v, refused %v", names(got), got.Refused)
	}
}

// TestReusedRange: what a removed node held is free.
func TestReusedRange(t *testing.T) {
	cfg := config
	cfg.Accepted = compute(t, config, number(1)).Accepted
	heir := number(2)
	heir.PodCIDRs = number(1).PodCIDRs
	if got := compute(t, cfg, heir); len(got.Refused) != 0 || len(got.Peers) != 1 {
		t.Errorf("peers %v, refused %v", names(got), got.Refused)
	}
}

func TestDuplicateName(t *testing.T) {
	cfg := config
	cfg.Accepted = []overlay.Node{number(1)}
	twin := number(2)
	twin.Name = number(1).Name
	got := compute(t, cfg, number(1), twin, number(3))
	if !reflect.DeepEqual(names(got), []string{"node-d"}) || len(got.Refused) == 0 {
		t.Errorf("peers %v, refused %v", names(got), got.Refused)
	}
}

// TestNewKey: a node may change its own key.
func TestNewKey(t *testing.T) {
	cfg := config
	cfg.Accepted = []overlay.Node{number(1)}
	rotated := number(1)
	rotated.PublicKey = wgtypes.Key{99}
	if got := compute(t, cfg, rotated); len(got.Peers) != 1 || got.Peers[0].PublicKey != rotated.PublicKey {
		t.Errorf("peers %+v, refused %v", got.Peers, got.Refused)
	}
}

// TestNoTwoPeersShare lets random nodes make random claims and checks what the
// datapath relies on, in any order of input.
func TestNoTwoPeersShare(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 300 {
		cfg := dual
		for range 4 { // each plan remembers the one before
			nodes := randomNodes(r)
			got := compute6(t, number6(0), cfg, nodes...)
			r.Shuffle(len(nodes), func(i, j int) { nodes[i], nodes[j] = nodes[j], nodes[i] })
			if again := compute6(t, number6(0), cfg, nodes...); !reflect.DeepEqual(got, again) {
				t.Fatalf("order matters:\n%+v\n%+v", got, again)
			}
			checkDisjoint(t, got)
			cfg.Accepted = got.Accepted
		}
	}
}

func randomNodes(r *rand.Rand) []overlay.Node {
	var nodes []overlay.Node
	for i := range byte(8) {
		n := number6(i + 1)
		if r.UintN(3) == 0 {
			bits := 20 + r.IntN(8)
			n.PodCIDRs[0] = netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 244, byte(r.UintN(12)), 0}), bits).Masked()
		}
		if r.UintN(6) == 0 {
			n.PodCIDRs[1] = pods6(byte(r.UintN(10)))
		}
		if r.UintN(6) == 0 {
			n.Addresses[1] = number6(byte(r.UintN(10))).Addresses[1]
		}
		if r.UintN(6) == 0 {
			n.PublicKey = wgtypes.Key{byte(r.UintN(10)), 1}
		}
		if r.UintN(6) == 0 {
			n.Addresses = append(n.Addresses, netip.AddrFrom4([4]byte{192, 0, 2, byte(r.UintN(10))}))
		}
		nodes = append(nodes, n)
	}
	return nodes
}

func checkDisjoint(t *testing.T, r Result) {
	t.Helper()
	keys := map[wgtypes.Key]bool{number(0).PublicKey: true}
	allowed := map[netip.Prefix]bool{r.Prefix: true, r.Pods.V6: true}
	for _, p := range r.Peers {
		if keys[p.PublicKey] || len(p.AllowedIPs) != 2 {
			t.Fatalf("peer %+v", p)
		}
		keys[p.PublicKey] = true
		for _, a := range p.AllowedIPs {
			if allowed[a] || a.Bits() != 64 {
				t.Fatalf("peer %+v", p)
			}
			allowed[a] = true
		}
	}
	for i, a := range r.Locations {
		for _, b := range r.Locations[i+1:] {
			if a.Kind != overlay.Closed && b.Kind != overlay.Closed && a.Prefix.Overlaps(b.Prefix) {
				t.Fatalf("%+v overlaps %+v", a, b)
			}
		}
	}
	refused := map[string]bool{}
	for _, f := range r.Refused {
		refused[f.Node] = true
	}
	if slices.ContainsFunc(r.Peers, func(p overlay.Peer) bool { return refused[p.Name] }) || len(r.Peers)+len(refused) != 8 {
		t.Fatalf("peers %v, refused %v", names(r), r.Refused)
	}
}

func TestSizesFor(t *testing.T) {
	for _, c := range []struct{ underlay, device, pods int }{
		{1500, 1420, 1400}, {9000, 8920, 8900}, {1280, 1200, 1180}, {65536, 65455, 65435}, {676, 596, 576},
	} {
		if got, err := SizesFor(c.underlay); err != nil || got != (overlay.MTU{Device: c.device, Pods: c.pods}) {
			t.Errorf("%d: got %+v, %v", c.underlay, got, err)
		}
	}
}
