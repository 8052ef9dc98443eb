package kube

import (
	"fmt"

	netv1 "k8s.io/api/networking/v1"

	"github.com/signet-cni/signet/enforce/policy"
)

// parsePolicy turns a NetworkPolicy into the compiler's form. Whatever part
// does not parse is narrowed: subjects to every pod of the namespace, isolated
// and without rules; a peer or block to nothing; a rule with a bad port to
// nothing.
func parsePolicy(in *netv1.NetworkPolicy) (policy.Policy, []Problem) {
	found := about("NetworkPolicy", in)
	out := policy.Policy{Namespace: in.Namespace, Name: in.Name}
	out.IsolatesIngress, out.IsolatesEgress = directions(in.Spec, found)
	subjects, err := selector(&in.Spec.PodSelector)
	if err != nil {
		found.because(ReasonSelector, "podSelector: %v; every pod of the namespace is isolated and nothing is admitted", err)
		return out, found.problems
	}
	out.Subjects = subjects
	if out.IsolatesIngress {
		for n, rule := range in.Spec.Ingress {
			at := fmt.Sprintf("ingress[%d]", n)
			out.Ingress = appendRule(out.Ingress, at, "from", rule.From, rule.Ports, found)
		}
	}
	if out.IsolatesEgress {
		for n, rule := range in.Spec.Egress {
			at := fmt.Sprintf("egress[%d]", n)
			out.Egress = appendRule(out.Egress, at, "to", rule.To, rule.Ports, found)
		}
	}
	return out, found.problems
}

// directions applies the API's defaulting: a policy that names no type
// isolates ingress, and egress too if it has egress rules. A type that is not
// known isolates both.
func directions(spec netv1.NetworkPolicySpec, found *findings) (ingress, egress bool) {
	if len(spec.PolicyTypes) == 0 {
		return true, len(spec.Egress) > 0
	}
	for _, policyType := range spec.PolicyTypes {
		switch policyType {
		case netv1.PolicyTypeIngress:
			ingress = true
		case netv1.PolicyTypeEgress:
			egress = true
		default:
			found.because(ReasonPolicyType, "policyTypes: unknown type %q; both directions are isolated", policyType)
			ingress, egress = true, true
		}
	}
	return ingress, egress
}

// appendRule adds a rule, unless nothing is left of what it could admit: a
// rule that lists no peers or ports admits all of them, so one that lost them
// must go.
func appendRule(rules []policy.Rule, at, list string, peers []netv1.NetworkPolicyPeer,
	ports []netv1.NetworkPolicyPort, found *findings,
) []policy.Rule {
	var rule policy.Rule
	for n := range peers {
		peer, err := parsePeer(&peers[n])
		if err != nil {
			found.because(ReasonPeer, "%s.%s[%d]: %v; it matches nothing", at, list, n, err)
			continue
		}
		rule.Peers = append(rule.Peers, peer)
	}
	for n := range ports {
		port, err := parsePort(&ports[n])
		if err != nil {
			found.because(ReasonPort, "%s.ports[%d]: %v; the rule admits nothing", at, n, err)
			return rules
		}
		rule.Ports = append(rule.Ports, port)
	}
	if len(peers) > 0 && len(rule.Peers) == 0 {
		return rules
	}
	return append(rules, rule)
}
