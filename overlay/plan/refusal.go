package plan

import "fmt"

// Reason names why a node is refused; it serves as an Event's reason.
type Reason string

// The reasons.
const (
	BadName          Reason = "BadName"          // empty
	BadKey           Reason = "BadKey"           // zero
	BadEndpoint      Reason = "BadEndpoint"      // no unicast address and port that a peer can have
	BadPodCIDR       Reason = "BadPodCIDR"       // not exactly one IPv4 range, or malformed
	BadAddress       Reason = "BadAddress"       // a node address that no node can have
	OutsideCluster   Reason = "OutsideCluster"   // the pod CIDR is not inside the cluster's
	DuplicateName    Reason = "DuplicateName"    // two entries for one node
	DuplicateKey     Reason = "DuplicateKey"     // another node's key: a cloned disk
	DuplicateAddress Reason = "DuplicateAddress" // another node's address
	SameEndpoint     Reason = "SameEndpoint"     // another node's address and port
	OverlappingCIDR  Reason = "OverlappingCIDR"  // another node's pod CIDR, or part of it
)

// Refusal says why a node is no peer.
type Refusal struct {
	Node   string
	Other  string // the node it is in conflict with, "" if there is none
	Reason Reason
	Detail string // the offending value, in words
}

// String gives a sentence that names both nodes.
func (r Refusal) String() string {
	if r.Other == "" {
		return fmt.Sprintf("node %q refused: %s", r.Node, r.Detail)
	}
	return fmt.Sprintf("node %q refused: %s, in conflict with node %q", r.Node, r.Detail, r.Other)
}
