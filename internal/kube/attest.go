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

// Attested gives the identities that nodes speak for, by their tunnel prefix:
// those that the verifier has found with their pods. Nodes whose Tunnel cannot
// be read speak for none. Where several claim one prefix, those of all are
// there: package plan decides which of them, if any, gets to send from it, and
// a node gains nothing from pods of another that are to be had there anyway.
func (w *Watcher) Attested() map[netip.Prefix][]identity.ID {
	attested := map[netip.Prefix][]identity.ID{}
	for it := range w.tunnels.all() {
		switch others, shared := attested[it.value.prefix]; {
		case it.refused():
		case shared:
			attested[it.value.prefix] = slices.Concat(others, it.value.verified)
		default:
			attested[it.value.prefix] = it.value.verified
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

// OwnVerified gives those of this node's identities that the verifier has
// found with its pods, sorted.
func (w *Watcher) OwnVerified() []identity.ID {
	it, ok := w.tunnels.get("", w.client.node)
	if !ok {
		return nil
	}
	return it.value.verified
}

// PublishIdentities writes into this node's Tunnel which identities its pods
// have. It fails as long as there is no Tunnel.
func (w *Watcher) PublishIdentities(ctx context.Context, ids []identity.ID) error {
	if err := w.client.patchIdentities(ctx, w.client.node, "spec", ids, fieldManager+"-identities"); err != nil {
		return fmt.Errorf("kube: publish identities: %w", err)
	}
	return nil
}

// patchIdentities writes a list of identities into the part of a Tunnel of that
// name, "spec" or "status".
func (c *Client) patchIdentities(ctx context.Context, node, part string, ids []identity.ID, manager string) error {
	ids = slices.Clone(ids)
	slices.Sort(ids)
	if ids == nil {
		ids = []identity.ID{} // published as none, not as unknown
	}
	patch, err := json.Marshal(map[string]any{part: map[string]any{"identities": ids}})
	if err != nil {
		return err
	}
	ctx, cancel := bounded(ctx)
	defer cancel()
	var subresources []string
	if part == "status" {
		subresources = []string{part}
	}
	options := metav1.PatchOptions{FieldManager: manager}
	_, err = c.dynamic.Resource(api.Tunnels).Patch(ctx, node, types.MergePatchType, patch, options, subresources...)
	return err
}
