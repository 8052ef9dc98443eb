package kube

import (
	"errors"
	"maps"
	"net/netip"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	netv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	cachetest "k8s.io/client-go/tools/cache/testing"

	"github.com/signet-cni/signet/enforce/policy"
	"github.com/signet-cni/signet/identity"
	"github.com/signet-cni/signet/internal/kube/api"
	"github.com/signet-cni/signet/overlay"
)

// What is remembered of the nodes is what their Tunnels say: whatever comes,
// changes or goes shows, and so does what the verifier writes, for which the
// nodes are not compared again.
func TestNodesFollowTunnels(t *testing.T) {
	source := cachetest.NewFakeControllerSource()
	w := &Watcher{watches: watches{client: newFakeAPI(t, nil).client(t)}}
	err := add(&w.watches, w.forgetting(func(Kind) {}), &w.tunnels, Tunnels, source, &api.ReceivedTunnel{}, tunnelParser(derivePrefix))
	if err != nil {
		t.Fatal(err)
	}
	source.Add(tunnelAsRead(t, encodedTunnel(t, tunnelNode(1))))
	go w.Run(t.Context())
	expect := func(what string, names ...string) []overlay.Node {
		t.Helper()
		var nodes []overlay.Node
		eventually(t, what, func() bool {
			nodes, _ = w.Nodes()
			return slices.EqualFunc(nodes, names, func(n overlay.Node, name string) bool { return n.Name == name })
		})
		return nodes
	}
	expect("the first", "node-1")
	source.Add(tunnelAsRead(t, encodedTunnel(t, tunnelNode(2))))
	expect("one that came", "node-1", "node-2")
	moved := tunnelNode(2)
	moved.Endpoint = netip.MustParseAddrPort("192.0.2.77:51872")
	source.Modify(tunnelAsRead(t, encodedTunnel(t, moved)))
	eventually(t, "a changed endpoint", func() bool { return expect("still two", "node-1", "node-2")[1].Endpoint == moved.Endpoint })

	before, _ := w.Nodes()
	source.Modify(tunnelAsRead(t, verified(t, listing(t, 1, int64(300), int64(301)), int64(300))))
	prefix, _ := derivePrefix(tunnelNode(1))
	eventually(t, "a verified identity", func() bool { return slices.Equal(w.Attested()[prefix], []identity.ID{300}) })
	if after, _ := w.Nodes(); &after[0] != &before[0] {
		t.Error("all nodes were compared again")
	}
	source.Delete(tunnelAsRead(t, encodedTunnel(t, tunnelNode(1))))
	expect("one that went", "node-2")
}

// Policies and namespaces are what the last update says, and the same slice as
// before where there was none.
func TestPoliciesAndNamespacesFollow(t *testing.T) {
	w := &Watcher{watches: watches{client: newFakeAPI(t, nil).client(t)}}
	policies, namespaces := cachetest.NewFakeControllerSource(), cachetest.NewFakeControllerSource()
	changed := w.forgetting(func(Kind) {})
	err := errors.Join(
		addNoting(&w.watches, changed, &w.policies, NetworkPolicies, policies, &netv1.NetworkPolicy{},
			withAnnotations("NetworkPolicy", parsePolicy),
			func(it *item[annotated[policy.Policy]], _ bool) { w.notePolicy(it, changed) }),
		add(&w.watches, changed, &w.namespaces, Namespaces, namespaces, &corev1.Namespace{}, withAnnotations(namespaceKind, parseNamespace)))
	if err != nil {
		t.Fatal(err)
	}
	go w.Run(t.Context())
	for _, labels := range []map[string]string{{"team": "a"}, {"team": "b"}} {
		meta := metav1.ObjectMeta{Name: "shop", Labels: labels}
		namespaces.Modify(&corev1.Namespace{ObjectMeta: meta})
		policies.Modify(&netv1.NetworkPolicy{
			ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "p"},
			Spec:       netv1.NetworkPolicySpec{PodSelector: metav1.LabelSelector{MatchLabels: labels}},
		})
		eventually(t, "the namespace's labels", func() bool { return maps.Equal(w.Namespaces()["shop"], labels) })
		eventually(t, "the policy's pods", func() bool {
			found, _ := w.Policies()
			return len(found) == 1 && found[0].Subjects.Matches(labels)
		})
	}
	before, _ := w.Policies()
	if again, _ := w.Policies(); &again[0] != &before[0] {
		t.Error("policies were read again although none has changed")
	}
}
