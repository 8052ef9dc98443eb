package kube

import (
	corev1 "k8s.io/api/core/v1"
)

// upReason is the reason that Signet gives in the condition
// NetworkUnavailable=False.
// TunnelLabel is on every Node whose tunnel has been published. The agents watch
// the Nodes that lack it, and are not told of the others' heartbeats.
const (
	TunnelLabel     = "signet-cni.io/tunnel"
	tunnelPublished = "published"
)

const upReason = "SignetIsUp"

func parseNode(in *corev1.Node) (Node, []Problem) {
	found := about("Node", in)
	out := Node{Name: in.Name, UID: string(in.UID), NetworkUp: networkUp(in)}
	out.Wishes = wishes(in.Annotations, found)
	cidrs := in.Spec.PodCIDRs
	if len(cidrs) == 0 && in.Spec.PodCIDR != "" {
		cidrs = []string{in.Spec.PodCIDR}
	}
	for _, text := range cidrs {
		prefix, err := parsePrefix(text)
		if err != nil {
			found.add("spec.podCIDRs: %v; no pod can be attached from it", err)
			continue
		}
		out.PodCIDRs = append(out.PodCIDRs, prefix)
	}
	for _, address := range in.Status.Addresses {
		if address.Type != corev1.NodeInternalIP {
			continue
		}
		addr, err := parseAddr(address.Address)
		if err != nil {
			found.add("status.addresses: %v; it is passed over", err)
			continue
		}
		out.InternalIPs = append(out.InternalIPs, addr)
	}
	return out, found.problems
}

func networkUp(in *corev1.Node) bool {
	for _, condition := range in.Status.Conditions {
		if condition.Type == corev1.NodeNetworkUnavailable {
			return condition.Status == corev1.ConditionFalse && condition.Reason == upReason && in.Labels[TunnelLabel] == tunnelPublished
		}
	}
	return false
}
