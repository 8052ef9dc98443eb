package kube

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"golang.zx2c4.com/wireguard/wgctrl/wgtypes"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/signet-cni/signet/internal/kube/api"
	"github.com/signet-cni/signet/overlay"
)

// fieldManager owns the fields that the agent writes.
const fieldManager = "signet-agent"

// errNodeUnknown is returned as long as the node's own object is not watched.
var errNodeUnknown = errors.New("kube: the Node object of this node is not known yet")

// PublishTunnel writes this node's Tunnel, if the watched one differs. The
// Node object owns it, so that it goes with the node.
func (w *Watcher) PublishTunnel(ctx context.Context, node overlay.Node, prefix netip.Prefix) error {
	if node.Name != w.client.node {
		return fmt.Errorf("kube: publish tunnel: %q is not this node, %q", node.Name, w.client.node)
	}
	owner, _, known := w.Node()
	if !known {
		return errNodeUnknown
	}
	if it, ok := w.tunnels.get("", node.Name); ok && !it.refused() &&
		it.value.owner == owner.UID && sameTunnel(it.value.node, node) {
		return nil
	}
	object, err := api.Encode(encodeTunnel(node, prefix, owner.UID))
	if err != nil {
		return fmt.Errorf("kube: publish tunnel: %w", err)
	}
	ctx, cancel := bounded(ctx)
	defer cancel()
	options := metav1.ApplyOptions{FieldManager: fieldManager, Force: true}
	if _, err := w.client.dynamic.Resource(api.Tunnels).Apply(ctx, node.Name, object, options); err != nil {
		return fmt.Errorf("kube: publish tunnel: %w", err)
	}
	return nil
}

func sameTunnel(a, b overlay.Node) bool {
	return a.PublicKey == b.PublicKey && a.Endpoint == b.Endpoint && a.Detour == b.Detour && a.Keyed.Equal(b.Keyed) &&
		slices.Equal(a.PodCIDRs, b.PodCIDRs) && slices.Equal(a.Addresses, b.Addresses)
}

func encodeTunnel(node overlay.Node, prefix netip.Prefix, owner string) api.Tunnel {
	object := api.Tunnel{Spec: api.TunnelSpec{
		PublicKey: node.PublicKey.String(),
		Endpoint:  node.Endpoint.String(),
		PodCIDRs:  texts(node.PodCIDRs),
		Addresses: texts(node.Addresses),
		Prefix:    prefix.String(),
	}}
	if node.Detour.PublicKey != (wgtypes.Key{}) {
		object.Spec.Detour = &api.DetourSpec{PublicKey: node.Detour.PublicKey.String(), Active: node.Detour.Active}
	}
	if !node.Keyed.IsZero() {
		object.Spec.Keyed = node.Keyed.UTC().Format(time.RFC3339)
	}
	object.Name = node.Name
	object.SetGroupVersionKind(api.GroupVersion.WithKind(api.TunnelKind))
	object.OwnerReferences = []metav1.OwnerReference{{
		APIVersion: "v1", Kind: "Node", Name: node.Name, UID: types.UID(owner),
	}}
	return object
}

func texts[T fmt.Stringer](values []T) []string {
	out := make([]string, len(values))
	for n, value := range values {
		out[n] = value.String()
	}
	return out
}

// SetNetworkUp tells the cluster that pods of this node have a network, if it
// is not told yet: clouds keep a node tainted until then, and the other agents
// keep what pods send to its address from leaving as plaintext. Its Tunnel has
// to be published.
func (w *Watcher) SetNetworkUp(ctx context.Context) error {
	node, _, known := w.Node()
	if !known {
		return errNodeUnknown
	}
	if node.NetworkUp {
		return nil
	}
	patch, err := json.Marshal(map[string]any{
		"metadata": map[string]any{"labels": map[string]string{TunnelLabel: tunnelPublished}},
		"status":   map[string]any{"conditions": []any{upCondition(time.Now())}},
	})
	if err != nil {
		return fmt.Errorf("kube: set condition: %w", err)
	}
	ctx, cancel := bounded(ctx)
	defer cancel()
	_, err = w.client.core.CoreV1().Nodes().Patch(ctx, node.Name, types.StrategicMergePatchType, patch,
		metav1.PatchOptions{FieldManager: fieldManager}, "status")
	if err != nil {
		return fmt.Errorf("kube: set condition: %w", err)
	}
	return nil
}

func upCondition(now time.Time) corev1.NodeCondition {
	return corev1.NodeCondition{
		Type:               corev1.NodeNetworkUnavailable,
		Status:             corev1.ConditionFalse,
		Reason:             upReason,
		Message:            "Signet is running on this node",
		LastHeartbeatTime:  metav1.NewTime(now),
		LastTransitionTime: metav1.NewTime(now),
	}
}
