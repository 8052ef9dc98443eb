package oracle

import "net/netip"

// Judge reports whether the source's policies let the packet out, and whether
// the destination's let it in.
func (c Cluster) Judge(p Packet) (egress, ingress bool) {
	return c.letsOut(p), c.letsIn(p)
}

// letsOut: "By default, a pod is non-isolated for egress; all outbound
// connections are allowed. A pod is isolated for egress if there is any
// NetworkPolicy that both selects the pod and has "Egress" in its policyTypes.
// When a pod is isolated for egress, the only allowed connections from the pod
// are those allowed by the egress list of some NetworkPolicy that applies to
// the pod for egress. The effects of those egress lists combine additively."
func (c Cluster) letsOut(p Packet) bool {
	pod, isPod := c.Pod(p.From.Pod)
	if !isPod {
		return true
	}
	isolated := false
	for _, policy := range c.Policies {
		if !selects(policy, pod) || !affectsEgress(policy) {
			continue
		}
		isolated = true
		for _, rule := range policy.Egress {
			if c.ruleAllows(policy, rule, p.To, p) {
				return true
			}
		}
	}
	return !isolated
}

// letsIn is the same for ingress, where the peer is the source.
func (c Cluster) letsIn(p Packet) bool {
	pod, isPod := c.Pod(p.To.Pod)
	if !isPod {
		return true
	}
	isolated := false
	for _, policy := range c.Policies {
		if !selects(policy, pod) || !affectsIngress(policy) {
			continue
		}
		isolated = true
		for _, rule := range policy.Ingress {
			if c.ruleAllows(policy, rule, p.From, p) {
				return true
			}
		}
	}
	return !isolated
}

// selects: podSelector "selects the pods to which this NetworkPolicy object
// applies", in the policy's own namespace.
func selects(policy NetworkPolicy, pod Pod) bool {
	return policy.Namespace == pod.Namespace && selectorMatches(policy.PodSelector, pod.Labels)
}

// affectsIngress: "If this field is not specified, it will default based on the
// existence of ingress or egress rules; policies that contain an egress section
// are assumed to affect egress, and all policies (whether or not they contain
// an ingress section) are assumed to affect ingress."
func affectsIngress(policy NetworkPolicy) bool {
	if len(policy.PolicyTypes) == 0 {
		return true
	}
	return contains(policy.PolicyTypes, "Ingress")
}

func affectsEgress(policy NetworkPolicy) bool {
	if len(policy.PolicyTypes) == 0 {
		return len(policy.Egress) > 0
	}
	return contains(policy.PolicyTypes, "Egress")
}

// ruleAllows: traffic must match both ports and peers. "If this field is empty
// or missing, this rule matches all" ports or peers.
func (c Cluster) ruleAllows(policy NetworkPolicy, rule Rule, peer End, p Packet) bool {
	peerOK := len(rule.Peers) == 0
	for _, candidate := range rule.Peers {
		if c.peerMatches(policy, candidate, peer) {
			peerOK = true
		}
	}
	portOK := len(rule.Ports) == 0
	for _, candidate := range rule.Ports {
		if c.portMatches(candidate, p) {
			portOK = true
		}
	}
	return peerOK && portOK
}

func (c Cluster) peerMatches(policy NetworkPolicy, peer Peer, end End) bool {
	if peer.IPBlock != nil {
		return blockContains(*peer.IPBlock, end.Addr)
	}
	pod, isPod := c.Pod(end.Pod)
	if !isPod {
		return false
	}
	if peer.NamespaceSelector == nil {
		if pod.Namespace != policy.Namespace {
			return false
		}
	} else if !selectorMatches(*peer.NamespaceSelector, c.NamespaceLabels(pod.Namespace)) {
		return false
	}
	return peer.PodSelector == nil || selectorMatches(*peer.PodSelector, pod.Labels)
}

func blockContains(block IPBlock, addr netip.Addr) bool {
	if !netip.MustParsePrefix(block.CIDR).Contains(addr) {
		return false
	}
	for _, except := range block.Except {
		if netip.MustParsePrefix(except).Contains(addr) {
			return false
		}
	}
	return true
}

// portMatches: protocol "If not specified, this field defaults to TCP"; port
// "can either be a numerical or named port on a pod. If this field is not
// provided, this matches all port names and numbers"; endPort "indicates that
// the range of ports from port to endPort if set, inclusive, should be allowed".
func (c Cluster) portMatches(port Port, p Packet) bool {
	protocol := port.Protocol
	if protocol == "" {
		protocol = "TCP"
	}
	switch {
	case protocol != p.Protocol:
		return false
	case port.Name != "":
		return c.hasNamedPort(p.To, port.Name, p)
	case port.Port == 0:
		return true
	case port.EndPort != 0:
		return port.Port <= p.Port && p.Port <= port.EndPort
	default:
		return port.Port == p.Port
	}
}

func (c Cluster) hasNamedPort(destination End, name string, p Packet) bool {
	pod, _ := c.Pod(destination.Pod)
	for _, port := range pod.Ports {
		if port.Name == name && port.Protocol == p.Protocol && port.Port == p.Port {
			return true
		}
	}
	return false
}

func selectorMatches(selector LabelSelector, labels map[string]string) bool {
	for key, value := range selector.MatchLabels {
		if actual, present := labels[key]; !present || actual != value {
			return false
		}
	}
	for _, expression := range selector.MatchExpressions {
		actual, present := labels[expression.Key]
		var holds bool
		switch expression.Operator {
		case "In":
			holds = present && contains(expression.Values, actual)
		case "NotIn":
			holds = !present || !contains(expression.Values, actual)
		case "Exists":
			holds = present
		case "DoesNotExist":
			holds = !present
		}
		if !holds {
			return false
		}
	}
	return true
}

func contains(list []string, wanted string) bool {
	for _, element := range list {
		if element == wanted {
			return true
		}
	}
	return false
}
