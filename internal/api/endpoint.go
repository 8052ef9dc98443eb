package api

import (
	"net/netip"
	"slices"

	"github.com/signet-cni/signet/identity"
)

// Endpoint is one pod of a node.
type Endpoint struct {
	Node        string      `json:"node"`
	Namespace   string      `json:"namespace"`
	Pod         string      `json:"pod"`
	ContainerID string      `json:"containerID,omitempty"` // of the sandbox
	Addr        netip.Addr  `json:"addr,omitzero"`         // IPv4
	Addr6       netip.Addr  `json:"addr6,omitzero"`        // IPv6, if the pod has any
	IfName      string      `json:"ifName,omitempty"`      // of the host's end
	IfIndex     int         `json:"ifIndex,omitempty"`
	Identity    identity.ID `json:"identity"` // Unknown until it is derived
	// Labels of the pod and its namespace that count towards the identity.
	// They are not to be modified.
	NamespaceLabels map[string]string `json:"namespaceLabels,omitempty"`
	Labels          map[string]string `json:"labels,omitempty"`
	Shaped          bool              `json:"shaped,omitempty"` // the bandwidth plugin limits it
}

// Addrs are the pod's addresses, IPv4 first.
func (e Endpoint) Addrs() []netip.Addr {
	return slices.DeleteFunc([]netip.Addr{e.Addr, e.Addr6}, func(a netip.Addr) bool { return !a.IsValid() })
}

// Identity is a number and the labels that it stands for.
type Identity struct {
	ID              identity.ID       `json:"id"`
	Namespace       string            `json:"namespace"`
	NamespaceLabels map[string]string `json:"namespaceLabels,omitempty"`
	PodLabels       map[string]string `json:"podLabels,omitempty"`
	// Dropped and Counted are those of identity.Set.
	Dropped []string `json:"dropped,omitempty"`
	Counted []string `json:"counted,omitempty"`
	Local   int      `json:"local"` // endpoints of the asked nodes that have it
}

// Set gives what the number stands for.
func (i Identity) Set() identity.Set {
	return identity.Set{
		Namespace: i.Namespace, NamespaceLabels: i.NamespaceLabels, PodLabels: i.PodLabels, Dropped: i.Dropped, Counted: i.Counted,
	}
}

// NewIdentity gives the Identity of a set that local endpoints have.
func NewIdentity(id identity.ID, set identity.Set, local int) Identity {
	return Identity{
		ID: id, Namespace: set.Namespace,
		NamespaceLabels: set.NamespaceLabels, PodLabels: set.PodLabels, Local: local,
		Dropped: set.Dropped, Counted: set.Counted,
	}
}
