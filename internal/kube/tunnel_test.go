package kube

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"golang.zx2c4.com/wireguard/wgctrl/wgtypes"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

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

// asRead gives an object of a kind as a client with that codec reads it from a
// list.
func asRead[S, U any](t testing.TB, codec runtime.NegotiatedSerializer, kind string, object *unstructured.Unstructured) *api.Received[S, U] {
	t.Helper()
	data, err := json.Marshal(map[string]any{
		"apiVersion": api.GroupVersion.String(), "kind": kind + "List", "items": []any{object.Object},
	})
	if err != nil {
		t.Fatal(err)
	}
	read, _, err := codec.SupportedMediaTypes()[0].Serializer.Decode(data, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	return read.(*api.ReceivedList[S, U]).Items[0]
}

func tunnelAsRead(t testing.TB, object *unstructured.Unstructured) *api.ReceivedTunnel {
	t.Helper()
	return asRead[api.TunnelSpec, api.TunnelStatus](t, api.TunnelCodec(), api.TunnelKind, object)
}

func identityAsRead(t testing.TB, object *unstructured.Unstructured) *api.ReceivedIdentity {
	t.Helper()
	return asRead[api.IdentitySpec, struct{}](t, api.IdentityCodec(), api.IdentityKind, object)
}

func TestTunnel(t *testing.T) {
	node := tunnelNode(1)
	node.PodCIDRs = append(node.PodCIDRs, netip.MustParsePrefix("fd00:1::/64"))
	node.Addresses = append(node.Addresses, netip.MustParseAddr("fd00:2::1"))
	node.Detour = overlay.Detour{PublicKey: wgtypes.Key{9, 9}, Active: true}
	node.Keyed = time.Date(2026, 11, 24, 15, 0, 0, 0, time.UTC)
	it := kept(t, tunnelParser(derivePrefix), tunnelAsRead(t, encodedTunnel(t, node)))
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
			it := kept(t, tunnelParser(derivePrefix), tunnelAsRead(t, u))
			checkProblem(t, it.problems, test.problem)
			equal(t, "value", it.value.node, overlay.Node{})
		})
	}
}
