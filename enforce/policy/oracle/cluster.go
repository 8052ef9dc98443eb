// Package oracle judges packets straight from the words of the NetworkPolicy
// API's documentation, pod by pod and rule by rule, as slowly as that is. It
// also invents clusters and packets, and shrinks a cluster while it still shows
// a fault.
//
// It shares nothing with the compiler that it is compared with, and imports
// nothing of Signet.
package oracle

import (
	"encoding/json"
	"fmt"
	"net/netip"
)

// Cluster is all that a verdict can depend on.
type Cluster struct {
	Namespaces []Namespace
	Pods       []Pod
	Policies   []NetworkPolicy
}

// Namespace has its labels as the API gives them, the one with its name
// included.
type Namespace struct {
	Name   string
	Labels map[string]string
}

// Pod is a running pod with its own addresses, at most one a family.
type Pod struct {
	Namespace, Name string
	Labels          map[string]string
	IPs             []netip.Addr
	Ports           []ContainerPort `json:",omitempty"`
}

// ContainerPort is a port that a pod gives a name to.
type ContainerPort struct {
	Name, Protocol string // Protocol: "TCP", "UDP" or "SCTP"
	Port           uint16
}

// NetworkPolicy follows networking.k8s.io/v1, field by field.
type NetworkPolicy struct {
	Namespace, Name string
	PodSelector     LabelSelector
	PolicyTypes     []string `json:",omitempty"` // "Ingress", "Egress"; none: the default
	Ingress         []Rule   `json:",omitempty"`
	Egress          []Rule   `json:",omitempty"`
}

// Rule is a NetworkPolicyIngressRule or NetworkPolicyEgressRule.
type Rule struct {
	Peers []Peer `json:",omitempty"` // from or to
	Ports []Port `json:",omitempty"`
}

// Peer is a NetworkPolicyPeer: a block, or one or both selectors.
type Peer struct {
	PodSelector       *LabelSelector `json:",omitempty"`
	NamespaceSelector *LabelSelector `json:",omitempty"`
	IPBlock           *IPBlock       `json:",omitempty"`
}

// IPBlock is a prefix less other prefixes.
type IPBlock struct {
	CIDR   string
	Except []string `json:",omitempty"`
}

// Port is a NetworkPolicyPort. Name and Port exclude each other.
type Port struct {
	Protocol string `json:",omitempty"` // "": TCP
	Name     string `json:",omitempty"`
	Port     uint16 `json:",omitempty"`
	EndPort  uint16 `json:",omitempty"`
}

// LabelSelector is the API's.
type LabelSelector struct {
	MatchLabels      map[string]string `json:",omitempty"`
	MatchExpressions []Expression      `json:",omitempty"`
}

// Expression is a LabelSelectorRequirement.
type Expression struct {
	Key, Operator string
	Values        []string `json:",omitempty"`
}

// What can be at an end of a packet, beside a pod.
const (
	World      = "world"
	Host       = "host"
	RemoteNode = "remote-node"
	Unmanaged  = "unmanaged"
)

// End is one end of a packet.
type End struct {
	Pod  string `json:",omitempty"` // namespace/name; "" if it is no pod
	Kind string `json:",omitempty"` // what it is if it is no pod
	Addr netip.Addr
}

// Packet opens a flow.
type Packet struct {
	From, To End
	Protocol string // "TCP", "UDP", "SCTP" or "ICMP"
	Port     uint16 // of the destination; 0 for ICMP
}

// Pod finds a pod by namespace/name.
func (c Cluster) Pod(name string) (Pod, bool) {
	for _, pod := range c.Pods {
		if pod.Namespace+"/"+pod.Name == name {
			return pod, true
		}
	}
	return Pod{}, false
}

// NamespaceLabels gives the labels of a namespace.
func (c Cluster) NamespaceLabels(name string) map[string]string {
	for _, namespace := range c.Namespaces {
		if namespace.Name == name {
			return namespace.Labels
		}
	}
	return nil
}

// String gives the cluster as JSON, for people.
func (c Cluster) String() string { return pretty(c) }

// String gives the packet as JSON, for people.
func (p Packet) String() string { return pretty(p) }

func pretty(v any) string {
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return fmt.Sprintf("%+v", v)
	}
	return string(text)
}
