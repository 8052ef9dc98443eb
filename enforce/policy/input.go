package policy

import (
	"net/netip"

	"github.com/signet-cni/signet/identity"
)

// Policy is one NetworkPolicy, parsed. A direction that it does not isolate
// has no rules.
type Policy struct {
	Namespace, Name string
	Subjects        identity.Selector // over pods of Namespace
	IsolatesIngress bool
	IsolatesEgress  bool
	Ingress         []Rule
	Egress          []Rule
}

// Rule admits traffic with any of Peers on any of Ports.
type Rule struct {
	Peers []Peer // none: every peer, pod or not
	Ports []Port // none: all traffic, ICMP included
}

// Peer is one element of a rule's from or to list. Either Block is valid, or
// the selectors count: both must match. The zero Peer, which the API refuses,
// admits nothing; every pod of the policy's own namespace is a Pods selector
// without requirements.
type Peer struct {
	// Namespaces selects on the namespace's labels; nil means the policy's
	// own namespace.
	Namespaces *identity.Selector
	// Pods selects on the pod's labels; nil means every pod.
	Pods *identity.Selector
	// Block, if its CIDR is valid, matches addresses instead.
	Block IPBlock
}

// IPBlock is a prefix less the Except prefixes inside it.
type IPBlock struct {
	CIDR   netip.Prefix
	Except []netip.Prefix
}

// Port is one element of a rule's ports. Name and numbers exclude each other;
// with neither, every port of the protocol matches. First and Last are
// inclusive; a single port has both equal. AnyProtocol stands for all traffic
// or, with a name or numbers, for TCP, UDP and SCTP.
type Port struct {
	Protocol    Protocol
	Name        string
	First, Last uint16
}
