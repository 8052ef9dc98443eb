package kube

import (
	"net/netip"
	"slices"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	cachetest "k8s.io/client-go/tools/cache/testing"

	"github.com/signet-cni/signet/identity"
	"github.com/signet-cni/signet/overlay"
)

// What is remembered of the nodes is what their Tunnels say: whatever comes,
// changes or goes shows, and so does what the verifier writes, for which the
// nodes are not compared again.
func TestNodesFollowTunnels(t *testing.T) {
	source := cachetest.NewFakeControllerSource()
	w := &Watcher{watches: watches{client: newFakeAPI(t, nil).client(t)}}
	err := add(&w.watches, w.outdating(func(Kind) {}), &w.tunnels, Tunnels, source, &unstructured.Unstructured{}, tunnelParser(derivePrefix))
	if err != nil {
		t.Fatal(err)
	}
	source.Add(encodedTunnel(t, tunnelNode(1)))
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
	source.Add(encodedTunnel(t, tunnelNode(2)))
	expect("one that came", "node-1", "node-2")
	moved := tunnelNode(2)
	moved.Endpoint = netip.MustParseAddrPort("192.0.2.77:51872")
	source.Modify(encodedTunnel(t, moved))
	eventually(t, "a changed endpoint", func() bool { return expect("still two", "node-1", "node-2")[1].Endpoint == moved.Endpoint })

	before, _ := w.admitted.get(w.tunnels)
	source.Modify(verified(t, listing(t, 1, int64(300), int64(301)), int64(300)))
	prefix, _ := derivePrefix(tunnelNode(1))
	eventually(t, "a verified identity", func() bool { return slices.Equal(w.Attested()[prefix], []identity.ID{300}) })
	if after, _ := w.admitted.get(w.tunnels); &after[0] != &before[0] {
		t.Error("all nodes were compared again")
	}
	source.Delete(encodedTunnel(t, tunnelNode(1)))
	expect("one that went", "node-2")
}
