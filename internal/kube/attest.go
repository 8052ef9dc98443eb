package kube

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/signet-cni/signet/identity"
	"github.com/signet-cni/signet/internal/kube/api"
)

// Attested gives the identities that nodes have published, by their tunnel
// prefix. Nodes whose Tunnel is refused vouch for nothing.
func (w *Watcher) Attested() map[netip.Prefix][]identity.ID {
	nodes, _ := w.Nodes()
	attested := make(map[netip.Prefix][]identity.ID, len(nodes))
	for _, node := range nodes {
		if it, ok := w.tunnels.get("", node.Name); ok && !it.refused() {
			attested[it.value.prefix] = it.value.identities
		}
	}
	return attested
}

// OwnIdentities gives the identities that this node's Tunnel lists, sorted, and
// whether it lists any.
func (w *Watcher) OwnIdentities() (ids []identity.ID, listed bool) {
	it, ok := w.tunnels.get("", w.client.node)
	if !ok {
		return nil, false
	}
	return it.value.identities, it.value.listed
}

// PublishIdentities writes into this node's Tunnel which identities its pods
// have. It fails as long as there is no Tunnel.
func (w *Watcher) PublishIdentities(ctx context.Context, ids []identity.ID) error {
	ids = slices.Clone(ids)
	slices.Sort(ids)
	if ids == nil {
		ids = []identity.ID{} // published as none, not as unknown
	}
	patch, err := json.Marshal(map[string]any{"spec": map[string]any{"identities": ids}})
	if err != nil {
		return fmt.Errorf("kube: publish identities: %w", err)
	}
	ctx, cancel := bounded(ctx)
	defer cancel()
	options := metav1.PatchOptions{FieldManager: fieldManager + "-identities"}
	_, err = w.client.dynamic.Resource(api.Tunnels).Patch(ctx, w.client.node, types.MergePatchType, patch, options)
	if err != nil {
		return fmt.Errorf("kube: publish identities: %w", err)
	}
	return nil
}
