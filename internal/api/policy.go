package api

import "github.com/signet-cni/signet/enforce/policy"

// PolicyStatus is what a NetworkPolicy does on a node.
type PolicyStatus struct {
	Node       string       `json:"node"`
	Namespace  string       `json:"namespace"`
	Name       string       `json:"name"`
	Ingress    bool         `json:"ingress"`    // it isolates in this direction
	Egress     bool         `json:"egress"`     // and in this one
	Identities int          `json:"identities"` // of the cluster, that it selects
	Local      int          `json:"local"`      // pods of the node, that it selects
	Rules      []RuleStatus `json:"rules,omitempty"`
	// Denied counts verdicts, since the agent started, in which it isolated the
	// pod and nothing admitted the packet.
	Denied   uint64   `json:"denied"`
	Problems []string `json:"problems,omitempty"` // parts that admit nothing, and why
	// Source is the policy as it was parsed.
	Source policy.Policy `json:"source"`
}

// RuleStatus is one rule of a policy.
type RuleStatus struct {
	Direction string `json:"direction"` // Ingress or Egress
	Index     int    `json:"index"`     // from 0
	Text      string `json:"text"`      // whom it admits on which ports
	// Hits counts verdicts, since the agent started, in which it admitted.
	Hits uint64 `json:"hits"`
}
