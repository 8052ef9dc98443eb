// Package policytest puts the oracle's clusters before the compiler, so that
// the table, and whatever was loaded from it, can be compared with the oracle.
package policytest

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/signet-cni/signet/enforce/policy"
	"github.com/signet-cni/signet/enforce/policy/oracle"
	"github.com/signet-cni/signet/identity"
)

// World is a cluster in the compiler's terms.
type World struct {
	Cluster  oracle.Cluster
	Policies []policy.Policy
	IDs      map[identity.ID]identity.Set
	Pods     map[string]identity.ID // by namespace/name
}

var protocolNumbers = map[string]uint8{"ICMP": 1, "TCP": 6, "UDP": 17, "SCTP": 132}

var kindIDs = map[string]identity.ID{
	oracle.World: identity.World, oracle.Host: identity.Host,
	oracle.RemoteNode: identity.RemoteNode, oracle.Unmanaged: identity.Unmanaged,
}

// Translate gives the cluster in the compiler's terms, all pods under
// identities in which the ignored keys that policies name count.
func Translate(c oracle.Cluster) World {
	policies := translatePolicies(c.Policies)
	return translate(c, policies, identity.DefaultIgnore().Counting(policy.NamedKeys(policies)))
}

// TranslateStale is Translate before the pods have new identities: ignored keys
// that policies name do not count yet.
func TranslateStale(c oracle.Cluster) World {
	return translate(c, translatePolicies(c.Policies), identity.DefaultIgnore())
}

func translate(c oracle.Cluster, policies []policy.Policy, ignore identity.Ignore) World {
	w := World{
		Cluster:  c,
		Policies: policies,
		IDs:      map[identity.ID]identity.Set{},
		Pods:     map[string]identity.ID{},
	}
	for _, pod := range c.Pods {
		set := identity.NewSet(pod.Namespace, c.NamespaceLabels(pod.Namespace), pod.Labels, ignore)
		w.Pods[pod.Namespace+"/"+pod.Name] = w.number(set)
	}
	return w
}

// number allocates as the registry does.
func (w World) number(set identity.Set) identity.ID {
	for attempt := 0; ; attempt++ {
		id := identity.Number(set, attempt)
		taken, ok := w.IDs[id]
		if !ok || taken.Equal(set) {
			w.IDs[id] = set
			return id
		}
	}
}

// Compile compiles the cluster's policies.
func (w World) Compile() policy.Result { return policy.Compile(w.IDs, w.Policies) }

// Query gives the packet in the table's terms.
func (w World) Query(p oracle.Packet) policy.Query {
	q := policy.Query{
		Src: w.id(p.From), Dst: w.id(p.To),
		SrcAddr: p.From.Addr, DstAddr: p.To.Addr,
		Protocol: protocolNumbers[p.Protocol],
		Port:     p.Port,
		HasPort:  p.Protocol != "ICMP",
	}
	pod, _ := w.Cluster.Pod(p.To.Pod)
	for _, port := range pod.Ports {
		if port.Port == p.Port && port.Protocol == p.Protocol {
			q.DstNames = append(q.DstNames, policy.NameIDOf(port.Name))
		}
	}
	return q
}

func (w World) id(end oracle.End) identity.ID {
	if end.Pod != "" {
		return w.Pods[end.Pod]
	}
	return kindIDs[end.Kind]
}

func translatePolicies(policies []oracle.NetworkPolicy) []policy.Policy {
	out := make([]policy.Policy, 0, len(policies))
	for _, p := range policies {
		types := p.PolicyTypes
		if len(types) == 0 {
			types = []string{"Ingress"}
			if len(p.Egress) > 0 {
				types = []string{"Ingress", "Egress"}
			}
		}
		t := policy.Policy{Namespace: p.Namespace, Name: p.Name, Subjects: *translateSelector(&p.PodSelector)}
		if t.IsolatesIngress = slices.Contains(types, "Ingress"); t.IsolatesIngress {
			t.Ingress = translateRules(p.Ingress)
		}
		if t.IsolatesEgress = slices.Contains(types, "Egress"); t.IsolatesEgress {
			t.Egress = translateRules(p.Egress)
		}
		out = append(out, t)
	}
	return out
}

func translateRules(rules []oracle.Rule) []policy.Rule {
	out := make([]policy.Rule, 0, len(rules))
	for _, r := range rules {
		var t policy.Rule
		for _, peer := range r.Peers {
			t.Peers = append(t.Peers, translatePeer(peer))
		}
		for _, port := range r.Ports {
			t.Ports = append(t.Ports, translatePort(port))
		}
		out = append(out, t)
	}
	return out
}

func translatePeer(p oracle.Peer) policy.Peer {
	if p.IPBlock == nil {
		return policy.Peer{Namespaces: translateSelector(p.NamespaceSelector), Pods: translateSelector(p.PodSelector)}
	}
	block := policy.IPBlock{CIDR: netip.MustParsePrefix(p.IPBlock.CIDR)}
	for _, except := range p.IPBlock.Except {
		block.Except = append(block.Except, netip.MustParsePrefix(except))
	}
	return policy.Peer{Block: block}
}

func translatePort(p oracle.Port) policy.Port {
	t := policy.Port{Protocol: policy.TCP, Name: p.Name, First: p.Port, Last: max(p.Port, p.EndPort)}
	if p.Protocol != "" {
		t.Protocol = policy.Protocol(protocolNumbers[p.Protocol])
	}
	return t
}

func translateSelector(s *oracle.LabelSelector) *identity.Selector {
	if s == nil {
		return nil
	}
	requirements := make([]identity.Requirement, 0, len(s.MatchExpressions))
	for _, e := range s.MatchExpressions {
		operator := identity.Operator(e.Operator)
		requirements = append(requirements, identity.Requirement{Key: e.Key, Operator: operator, Values: e.Values})
	}
	selector, err := identity.NewSelector(s.MatchLabels, requirements)
	if err != nil {
		panic(fmt.Sprintf("the oracle made a selector that the API refuses: %v", err))
	}
	return &selector
}
