package oracle

import (
	"encoding/json"
	"slices"
)

// reduction takes one thing away from a cluster.
type reduction func(*Cluster)

// Shrink takes things away from a cluster, one by one, as long as fails holds,
// and returns the smallest it arrives at. Pods at the packet's ends stay.
func Shrink(c Cluster, p Packet, fails func(Cluster) bool) Cluster {
	for shrunk := true; shrunk; {
		shrunk = false
		for _, reduce := range reductions(c, p) {
			smaller := c.clone()
			reduce(&smaller)
			if fails(smaller) {
				c, shrunk = smaller, true
				break
			}
		}
	}
	return c
}

// clone copies the cluster, and all that it points to. Both conversions are
// total for these types.
func (c Cluster) clone() Cluster {
	text, err := json.Marshal(c)
	if err != nil {
		panic(err)
	}
	var out Cluster
	if err := json.Unmarshal(text, &out); err != nil {
		panic(err)
	}
	return out
}

// reductions lists what can be taken away, large things first.
func reductions(c Cluster, p Packet) []reduction {
	var out []reduction
	for n := range c.Policies {
		out = append(out, func(c *Cluster) { c.Policies = slices.Delete(c.Policies, n, n+1) })
	}
	used := map[string]bool{}
	for n, pod := range c.Pods {
		used[pod.Namespace] = true
		if name := pod.Namespace + "/" + pod.Name; name != p.From.Pod && name != p.To.Pod {
			out = append(out, func(c *Cluster) { c.Pods = slices.Delete(c.Pods, n, n+1) })
		}
	}
	for n, namespace := range c.Namespaces {
		if !used[namespace.Name] {
			out = append(out, func(c *Cluster) { c.Namespaces = slices.Delete(c.Namespaces, n, n+1) })
		}
		out = append(out, labelReductions(namespace.Labels, func(c *Cluster) map[string]string {
			return c.Namespaces[n].Labels
		})...)
	}
	for n, pod := range c.Pods {
		out = append(out, labelReductions(pod.Labels, func(c *Cluster) map[string]string { return c.Pods[n].Labels })...)
		out = append(out, elements(len(pod.Ports), func(c *Cluster) *[]ContainerPort { return &c.Pods[n].Ports })...)
	}
	for n, policy := range c.Policies {
		out = append(out, policyReductions(policy, func(c *Cluster) *NetworkPolicy { return &c.Policies[n] })...)
	}
	return out
}

func policyReductions(policy NetworkPolicy, at func(*Cluster) *NetworkPolicy) []reduction {
	out := selectorReductions(policy.PodSelector, func(c *Cluster) *LabelSelector { return &at(c).PodSelector })
	out = append(out, listReductions(policy.Ingress, func(c *Cluster) *[]Rule { return &at(c).Ingress })...)
	return append(out, listReductions(policy.Egress, func(c *Cluster) *[]Rule { return &at(c).Egress })...)
}

func listReductions(rules []Rule, at func(*Cluster) *[]Rule) []reduction {
	out := elements(len(rules), at)
	for n, rule := range rules {
		out = append(out, elements(len(rule.Peers), func(c *Cluster) *[]Peer { return &(*at(c))[n].Peers })...)
		out = append(out, elements(len(rule.Ports), func(c *Cluster) *[]Port { return &(*at(c))[n].Ports })...)
		for m, peer := range rule.Peers {
			out = append(out, peerReductions(peer, func(c *Cluster) *Peer { return &(*at(c))[n].Peers[m] })...)
		}
	}
	return out
}

func peerReductions(peer Peer, at func(*Cluster) *Peer) []reduction {
	if peer.IPBlock != nil {
		return elements(len(peer.IPBlock.Except), func(c *Cluster) *[]string { return &at(c).IPBlock.Except })
	}
	var out []reduction
	if peer.PodSelector != nil && peer.NamespaceSelector != nil {
		out = append(out,
			func(c *Cluster) { at(c).PodSelector = nil },
			func(c *Cluster) { at(c).NamespaceSelector = nil })
	}
	if peer.PodSelector != nil {
		out = append(out, selectorReductions(*peer.PodSelector, func(c *Cluster) *LabelSelector {
			return at(c).PodSelector
		})...)
	}
	if peer.NamespaceSelector != nil {
		out = append(out, selectorReductions(*peer.NamespaceSelector, func(c *Cluster) *LabelSelector {
			return at(c).NamespaceSelector
		})...)
	}
	return out
}

func selectorReductions(selector LabelSelector, at func(*Cluster) *LabelSelector) []reduction {
	out := labelReductions(selector.MatchLabels, func(c *Cluster) map[string]string { return at(c).MatchLabels })
	return append(out, elements(len(selector.MatchExpressions), func(c *Cluster) *[]Expression {
		return &at(c).MatchExpressions
	})...)
}

func labelReductions(labels map[string]string, at func(*Cluster) map[string]string) []reduction {
	var out []reduction
	for key := range labels {
		if key != "kubernetes.io/metadata.name" {
			out = append(out, func(c *Cluster) { delete(at(c), key) })
		}
	}
	return out
}

// elements takes away each element of a list.
func elements[T any](length int, at func(*Cluster) *[]T) []reduction {
	var out []reduction
	for n := range length {
		out = append(out, func(c *Cluster) {
			list := at(c)
			*list = slices.Delete(*list, n, n+1)
		})
	}
	return out
}
