package kube

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"golang.zx2c4.com/wireguard/wgctrl/wgtypes"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/signet-cni/signet/internal/kube/api"
	"github.com/signet-cni/signet/overlay"
)

// derivePrefix derives prefixes as the agents of one cluster do.
func derivePrefix(node overlay.Node) (netip.Prefix, error) {
	return overlay.Prefix(overlay.ClusterID{0x51, 0xc7, 0xe1}, node.PodCIDRs[0])
}

// tunnelNode makes the n-th node of a cluster.
func tunnelNode(n byte) overlay.Node {
	return overlay.Node{
		Name:      fmt.Sprintf("node-%d", n),
		PublicKey: wgtypes.Key{1, n},
		Endpoint:  netip.AddrPortFrom(netip.AddrFrom4([4]byte{172, 18, 0, n}), 51872),
		PodCIDRs:  []netip.Prefix{netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 244, n, 0}), 24)},
		Addresses: []netip.Addr{netip.AddrFrom4([4]byte{172, 18, 0, n})},
	}
}

func encodedTunnel(t testing.TB, node overlay.Node) *unstructured.Unstructured {
	t.Helper()
	prefix, err := derivePrefix(node)
	if err != nil {
		t.Fatal(err)
	}
	out, err := api.Encode(encodeTunnel(node, prefix, "uid-"+node.Name))
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestTunnel(t *testing.T) {
	node := tunnelNode(1)
	node.PodCIDRs = append(node.PodCIDRs, netip.MustParsePrefix("fd00:1::/64"))
	node.Addresses = append(node.Addresses, netip.MustParseAddr("fd00:2::1"))
	node.Detour = overlay.Detour{PublicKey: wgtypes.Key{9, 9}, Active: true}
	node.Keyed = time.Date(2026, 11, 24, 15, 0, 0, 0, time.UTC)
	it := kept(t, tunnelParser(derivePrefix), encodedTunnel(t, node))
	checkProblem(t, it.problems, "")
	equal(t, "node", it.value.node, node)
	equal(t, "owner", it.value.owner, "uid-node-1")
}

func TestBadTunnels(t *testing.T) {
	list := func(values ...any) []any { return values }
	many := slices.Repeat(list("10.0.0.1"), maxAddresses+1)
	for _, test := range []struct {
		name, field string
		value       any
		problem     string
	}{
		{"no key", "publicKey", nil, "publicKey"},
		{"key of a wrong type", "publicKey", int64(3), "decode Tunnel"},
		{"short key", "publicKey", "AAAA", "malformed key"},
		{"zero key", "publicKey", wgtypes.Key{}.String(), "all zero"},
		{"no endpoint", "endpoint", nil, "endpoint"},
		{"endpoint without a port", "endpoint", "172.18.0.1", "want ip:port"},
		{"endpoint by name", "endpoint", "example.org:1", "want ip:port"},
		{"endpoint port 0", "endpoint", "172.18.0.1:0", "is 0"},
		{"endpoint loopback", "endpoint", "127.0.0.1:1", "cannot be a host's"},
		{"endpoint multicast", "endpoint", "224.0.0.1:1", "cannot be a host's"},
		{"endpoint with a zone", "endpoint", "[fe80::1%eth0]:1", "cannot be a host's"},
		{"endpoint inside the tunnel", "endpoint", "10.244.1.9:1", "lies in the pod range"},
		{"no pod range", "podCIDRs", list(), "want one IPv4 range"},
		{"IPv6 alone", "podCIDRs", list("fd00::/64"), "want one IPv4 range"},
		{"two IPv4 ranges", "podCIDRs", list("10.1.0.0/24", "10.2.0.0/24"), "want one IPv4 range"},
		{"everything", "podCIDRs", list("0.0.0.0/0"), "cannot be a pod range"},
		{"multicast range", "podCIDRs", list("224.0.0.0/8"), "cannot be a pod range"},
		{"malformed range", "podCIDRs", list("10.0.0.0"), "malformed CIDR"},
		{"range of a wrong type", "podCIDRs", "10.0.0.0/24", "decode Tunnel"},
		{"malformed address", "addresses", list("x"), "malformed address"},
		{"unspecified address", "addresses", list("0.0.0.0"), "cannot be a host's"},
		{"too many addresses", "addresses", many, "32, more than 31"},
		{"detour without a key", "detour", map[string]any{"active": true}, "detour: malformed key"},
		{"detour of a wrong type", "detour", "x", "decode Tunnel"},
		{"malformed time", "keyed", "yesterday", "malformed time"},
		{"another's prefix", "prefix", "fd51:c7e1:af4:200::/64", "want fd51:c7e1:af4:100::/64"},
		{"longer prefix", "prefix", "fd51:c7e1:af4:100::/65", "want"},
		{"no prefix", "prefix", nil, "malformed CIDR"},
	} {
		t.Run(test.name, func(t *testing.T) {
			u := encodedTunnel(t, tunnelNode(1))
			if err := unstructured.SetNestedField(u.Object, test.value, "spec", test.field); err != nil {
				t.Fatal(err)
			}
			it := kept(t, tunnelParser(derivePrefix), u)
			checkProblem(t, it.problems, test.problem)
			equal(t, "value", it.value.node, overlay.Node{})
		})
	}
}

// aged gives a parsed tunnel of an age in seconds.
func aged(node overlay.Node, age int) *item[tunnel] {
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).Add(-time.Duration(age) * time.Second)
	it := &item[tunnel]{value: tunnel{node: node}}
	it.Name, it.CreationTimestamp = node.Name, metav1.NewTime(at)
	return it
}

func TestTunnelClaims(t *testing.T) {
	prefixes := func(texts ...string) (out []netip.Prefix) {
		for _, text := range texts {
			out = append(out, netip.MustParsePrefix(text))
		}
		return out
	}
	for _, test := range []struct {
		name    string
		edit    func(*overlay.Node) // of node 2, which is younger than 1 and older than 3
		nodes   []string
		problem string
	}{
		{"nothing in common", func(*overlay.Node) {}, []string{"node-1", "node-2", "node-3"}, ""},
		{"an elder's key", func(n *overlay.Node) { n.PublicKey = tunnelNode(1).PublicKey }, []string{"node-1", "node-3"}, "publicKey is that of node node-1"},
		{"an elder's range", func(n *overlay.Node) { n.PodCIDRs = tunnelNode(1).PodCIDRs }, []string{"node-1", "node-3"}, "overlaps 10.244.1.0/24 of node node-1"},
		{"within an elder's range", func(n *overlay.Node) { n.PodCIDRs = prefixes("10.244.1.128/25") }, []string{"node-1", "node-3"}, "overlaps"},
		{"around everything", func(n *overlay.Node) { n.PodCIDRs = prefixes("10.0.0.0/8") }, []string{"node-1", "node-3"}, "overlaps"},
		{"an elder's address", func(n *overlay.Node) { n.Addresses = tunnelNode(1).Addresses }, []string{"node-1", "node-2", "node-3"}, "address 172.18.0.1 lies in 172.18.0.1/32 of node node-1"},
		{"an address in an elder's range", func(n *overlay.Node) { n.Addresses = []netip.Addr{netip.MustParseAddr("10.244.1.77")} }, []string{"node-1", "node-2", "node-3"}, "lies in 10.244.1.0/24"},
		{"its address in its own range", func(n *overlay.Node) { n.Addresses = []netip.Addr{netip.MustParseAddr("10.244.2.1")} }, []string{"node-1", "node-2", "node-3"}, ""},
		{"a younger's range", func(n *overlay.Node) { n.PodCIDRs = tunnelNode(3).PodCIDRs }, []string{"node-1", "node-2"}, "overlaps 10.244.3.0/24 of node node-2"},
	} {
		t.Run(test.name, func(t *testing.T) {
			second := tunnelNode(2)
			test.edit(&second)
			items := []*item[tunnel]{aged(tunnelNode(3), 10), aged(second, 20), aged(tunnelNode(1), 30)}
			nodes, problems := admitTunnels(items)
			var names []string
			for _, node := range nodes {
				names = append(names, node.Name)
			}
			equal(t, "nodes", names, test.nodes)
			checkProblem(t, problems, test.problem)
		})
	}
}

// The tunnel names IPv6 addresses by their number: behind one that is another
// node's none counts, while those of IPv4 and those before it do.
func TestNumberedAddresses(t *testing.T) {
	first, second := tunnelNode(1), tunnelNode(2)
	taken := netip.MustParseAddr("2001:db8::1")
	first.Addresses = append(first.Addresses, taken)
	own := second.Addresses[0]
	before, behind, late := netip.MustParseAddr("2001:db8::20"), netip.MustParseAddr("2001:db8::21"), netip.MustParseAddr("172.18.0.99")
	second.Addresses = []netip.Addr{own, before, taken, behind, late}
	nodes, problems := admitTunnels([]*item[tunnel]{aged(first, 20), aged(second, 10)})
	equal(t, "addresses", nodes[1].Addresses, []netip.Addr{own, before, late})
	checkProblem(t, problems, "address 2001:db8::1 lies in 2001:db8::1/128 of node node-1")
}

// A refused tunnel's claims do not stand in anyone's way.
func TestRefusedTunnelClaimsNothing(t *testing.T) {
	greedy := tunnelNode(2)
	greedy.PodCIDRs = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	nodes, problems := admitTunnels([]*item[tunnel]{aged(tunnelNode(1), 30), aged(greedy, 20), aged(tunnelNode(3), 10)})
	if len(nodes) != 2 || len(problems) != 1 {
		t.Errorf("nodes %v, problems %v", nodes, problems)
	}
}

// claims agrees with comparing every pair, on random ranges.
func TestClaimsOracle(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		fast := newClaims()
		var accepted []netip.Prefix
		for n := range 12 {
			addr := netip.AddrFrom4([4]byte{10, byte(random.IntN(4)), byte(random.IntN(4)), 0})
			prefix := netip.PrefixFrom(addr, 8+random.IntN(25)).Masked()
			want := !slices.ContainsFunc(accepted, prefix.Overlaps)
			node := overlay.Node{Name: fmt.Sprint(n), PublicKey: wgtypes.Key{byte(n)}, PodCIDRs: []netip.Prefix{prefix}}
			if _, got := fast.admit(node, &findings{}); got != want {
				t.Fatalf("%s among %v: admitted %t, want %t", prefix, accepted, got, want)
			}
			if want {
				accepted = append(accepted, prefix)
			}
		}
	}
}
