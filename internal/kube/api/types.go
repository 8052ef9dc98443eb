// Package api holds Signet's own API objects, group signet-cni.io, as
// deploy/signet.yaml defines them.
//
// Fields that a version does not know are passed over, so that agents of two
// versions can share a cluster while one replaces the other.
package api

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// GroupVersion is the group and version of every type here.
var GroupVersion = schema.GroupVersion{Group: "signet-cni.io", Version: "v1alpha1"}

// The resources, all cluster scoped.
var (
	Tunnels    = GroupVersion.WithResource("tunnels")
	Identities = GroupVersion.WithResource("identities")
)

// The kinds of those resources.
const (
	TunnelKind   = "Tunnel"
	IdentityKind = "Identity"
)

// Tunnel is one node's end of the encrypted overlay. It is named as the node,
// whose agent alone may write it, and owned by the Node object.
type Tunnel struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`
	Spec              TunnelSpec   `json:"spec"`
	Status            TunnelStatus `json:"status,omitzero"`
}

// TunnelSpec is what the other nodes need to know of a node.
type TunnelSpec struct {
	// PublicKey is the WireGuard key, base64 (44 characters).
	PublicKey string `json:"publicKey"`
	// Endpoint is the underlay address and UDP port, "ip:port" or "[ip]:port".
	Endpoint string `json:"endpoint"`
	// Detour is the node's second WireGuard device, on the port after
	// Endpoint's. Absent: the node's agent is of a version that has none.
	Detour *DetourSpec `json:"detour,omitempty"`
	// Keyed is when publicKey was made, RFC 3339.
	Keyed string `json:"keyed,omitempty"`
	// PodCIDRs are the node's pod ranges: an IPv4 one, and in a dual-stack
	// cluster an IPv6 one.
	PodCIDRs []string `json:"podCIDRs"`
	// Addresses are the node's own addresses.
	Addresses []string `json:"addresses,omitempty"`
	// Prefix is the node's /64 inside the tunnel. It follows from the cluster
	// ID and the IPv4 pod range; readers verify it.
	Prefix string `json:"prefix"`
	// Identities are the numbers that packets of the node's pods carry, as its
	// agent says. Absent: the agent is of a version that does not publish them.
	Identities []int64 `json:"identities,omitempty"`
}

// TunnelStatus is what the verifier, and nobody else, has found out.
type TunnelStatus struct {
	// Identities are those of the spec's which pods scheduled to the node have.
	Identities []int64 `json:"identities,omitempty"`
}

// DetourSpec is the device that carries a node's traffic while the key of its
// first is changed.
type DetourSpec struct {
	// PublicKey is its WireGuard key, base64 (44 characters).
	PublicKey string `json:"publicKey"`
	// Active asks the other nodes to use it.
	Active bool `json:"active,omitempty"`
}

// Identity publishes which labels a number stands for. It is named by the
// decimal number and never changes.
type Identity struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`
	Spec              IdentitySpec `json:"spec"`
}

// IdentitySpec is a set of labels, as identity.Set defines it.
type IdentitySpec struct {
	Namespace       string            `json:"namespace"`
	NamespaceLabels map[string]string `json:"namespaceLabels"`
	PodLabels       map[string]string `json:"podLabels,omitempty"`
	// Dropped are the globs over label keys that took labels out of PodLabels.
	Dropped []string `json:"dropped,omitempty"`
	// Counted are keys that count although Dropped covers them.
	Counted []string `json:"counted,omitempty"`
}
