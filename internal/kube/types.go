package kube

import (
	"net/netip"

	"github.com/signet-cni/signet/enforce/policy"
)

// Kind names a watched resource. A poke carries it.
type Kind string

// The watch set.
const (
	Pods            Kind = "pods" // on this node
	Namespaces      Kind = "namespaces"
	NetworkPolicies Kind = "networkpolicies"
	Services        Kind = "services"
	EndpointSlices  Kind = "endpointslices"
	Identities      Kind = "identities"
	Tunnels         Kind = "tunnels"
	Nodes           Kind = "nodes"   // this one
	Joining         Kind = "joining" // nodes that have no tunnel yet

	// Attestations is no watch of its own: the identities that Tunnels list.
	Attestations Kind = "attestations"
	// NewIdentities is none either: Identities of which it is enough to look at
	// those that came.
	NewIdentities Kind = "newidentities"
)

// Pod is what Signet needs to know of a pod.
type Pod struct {
	Namespace, Name, UID string
	Labels               map[string]string // not to be modified
	HostNetwork          bool
	Phase                string // "Pending", "Running", "Succeeded", "Failed", "Unknown" or ""
	IPs                  []netip.Addr
	Ports                []NamedPort // of containers and sidecars
}

// NamedPort is a container port that a policy can name.
type NamedPort struct {
	Name     string
	Protocol policy.Protocol
	Port     uint16
}

// Node is what Signet needs to know of its own node.
type Node struct {
	Name, UID   string
	PodCIDRs    []netip.Prefix // in the order of the API, masked
	InternalIPs []netip.Addr
	// NetworkUp is true if the API has the condition NetworkUnavailable=False
	// with Signet's reason, and the node TunnelLabel.
	NetworkUp bool
	Wishes    TunnelWishes
}
