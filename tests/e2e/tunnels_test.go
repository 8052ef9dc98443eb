//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/netip"
	"reflect"
	"testing"
	"time"

	"golang.zx2c4.com/wireguard/wgctrl/wgtypes"

	"github.com/signet-cni/signet/internal/api"
	"github.com/signet-cni/signet/overlay"
	"github.com/signet-cni/signet/tests/e2e/lab"
)

// badTunnels are what a node publishes that must not be believed, made from what
// another one, the victim, has published.
var badTunnels = []struct {
	name   string
	change func(bad, victim map[string]any)
}{
	{"duplicate-key", func(bad, victim map[string]any) { bad["publicKey"] = victim["publicKey"] }},
	{"duplicate-prefix", func(bad, victim map[string]any) {
		bad["podCIDRs"], bad["prefix"] = victim["podCIDRs"], victim["prefix"]
	}},
	{"overlapping-cidr", func(bad, victim map[string]any) { setRange(bad, upperHalf(podRange(victim))) }},
	{"endpoint-in-pod-range", func(bad, victim map[string]any) {
		bad["endpoint"] = netip.AddrPortFrom(podRange(victim).Addr().Next(), 51872).String()
	}},
	{"cloned-disk", func(bad, victim map[string]any) { // all is the victim's but what the cluster has assigned
		assigned, prefix := bad["podCIDRs"], bad["prefix"]
		maps.Copy(bad, victim)
		bad["podCIDRs"], bad["prefix"] = assigned, prefix
	}},
}

// TestBadTunnels publishes such Tunnels, and garbage, while connections and a
// stream go on; the agents meet them as news and when they start. Each is
// refused with an Event that names both nodes, and no peer changes.
func TestBadTunnels(t *testing.T) {
	db, client := server("tunnels", "db", lab.Worker), server("tunnels", "client", lab.Worker2)
	create(t, alone("tunnels"), db, client)
	settle()
	before := peers(t)
	victim := tunnelSpec(t, lab.Worker)
	outlasts(t, client, db, 5*time.Minute, func(t *testing.T) {
		for i, bad := range badTunnels {
			spec := newSpec(t, i)
			bad.change(spec, victim)
			publish(t, "e2e-"+bad.name, spec)
			awaitEvent(t, "Tunnel", "e2e-"+bad.name, fmt.Sprintf(`node "e2e-%s" refused: `, bad.name))
			awaitEvent(t, "Tunnel", "e2e-"+bad.name, fmt.Sprintf("in conflict with node %q", cluster.Nodes[lab.Worker].Name))
		}
		garbage := newSpec(t, len(badTunnels))
		garbage["endpoint"] = "127.0.0.1:51872"
		publish(t, "e2e-garbage", garbage)
		awaitEvent(t, "Tunnel", "e2e-garbage", "cannot be a host's")
		garbage["publicKey"] = "AAAA"
		if err := cluster.Apply(t.Context(), manifestOf(t, "e2e-malformed", garbage)); err == nil {
			remove(t, "tunnel", "e2e-malformed")
			t.Error("the API server takes a key of three bytes")
		}
		unchanged(t, before, peers(t))
		killAgents(t)
		unchanged(t, before, peers(t))
	})
}

// peers gives what each node has of each other one that a newcomer must not
// change.
func peers(t *testing.T) map[[2]string][2]string {
	t.Helper()
	out, errs, _ := signetFor(t, time.Minute, "encrypt", "status", "-o", "json") // it fails because of those that are refused
	var answer struct{ Items []api.Encryption }
	if err := json.Unmarshal([]byte(out), &answer); err != nil {
		t.Fatalf("%v: %s", err, errs)
	}
	all := map[[2]string][2]string{}
	for _, e := range answer.Items {
		for _, p := range e.Peers {
			if p.Key.PublicKey != "" {
				all[[2]string{e.Node, p.Node}] = [2]string{p.Key.PublicKey, p.Endpoint.String()}
			}
		}
	}
	return all
}

func unchanged(t *testing.T, before, now map[[2]string][2]string) {
	t.Helper()
	if want := len(cluster.Nodes) * (len(cluster.Nodes) - 1); len(before) != want || !reflect.DeepEqual(before, now) {
		t.Errorf("peers of nodes are %v, want %d of them, as before: %v", now, want, before)
	}
}

func tunnelSpec(t *testing.T, node int) map[string]any {
	t.Helper()
	var object struct {
		Spec map[string]any `json:"spec"`
	}
	if err := json.Unmarshal([]byte(kubectl(t, "get", "tunnel", cluster.Nodes[node].Name, "-o", "json")), &object); err != nil {
		t.Fatal(err)
	}
	delete(object.Spec, "identities")
	return object.Spec
}

// newSpec is what the i-th new node could honestly publish.
func newSpec(t *testing.T, i int) map[string]any {
	t.Helper()
	key, err := wgtypes.GeneratePrivateKey()
	if err != nil {
		t.Fatal(err)
	}
	spec := map[string]any{
		"publicKey": key.PublicKey().String(), "endpoint": fmt.Sprintf("172.18.255.%d:51872", 200+i), "addresses": []any{},
	}
	setRange(spec, netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 244, byte(240 + i), 0}), 24))
	return spec
}

func setRange(spec map[string]any, pods netip.Prefix) {
	prefix, err := overlay.Prefix(overlay.ClusterID{0x51, 0xc7, 0xe1}, pods) // of deploy/signet.yaml
	if err != nil {
		panic(err)
	}
	spec["podCIDRs"], spec["prefix"] = []any{pods.String()}, prefix.String()
}

// podRange is the IPv4 one.
func podRange(spec map[string]any) netip.Prefix {
	for _, text := range spec["podCIDRs"].([]any) {
		if p := netip.MustParsePrefix(text.(string)); p.Addr().Is4() {
			return p
		}
	}
	panic("a Tunnel without an IPv4 pod range")
}

func upperHalf(p netip.Prefix) netip.Prefix {
	addr := p.Addr().As4()
	addr[p.Bits()/8] |= 0x80 >> (p.Bits() % 8)
	return netip.PrefixFrom(netip.AddrFrom4(addr), p.Bits()+1)
}

func publish(t *testing.T, name string, spec map[string]any) {
	t.Helper()
	remove(t, "tunnel", name)
	apply(t, manifestOf(t, name, spec))
}

func manifestOf(t *testing.T, name string, spec map[string]any) string {
	t.Helper()
	text, err := json.Marshal(spec)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("apiVersion: signet-cni.io/v1alpha1\nkind: Tunnel\nmetadata: {name: %s}\nspec: %s\n", name, text)
}
