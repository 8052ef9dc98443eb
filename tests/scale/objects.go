package main

import (
	"fmt"
	"net/netip"

	corev1 "k8s.io/api/core/v1"
	netv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/signet-cni/signet/identity"
	"github.com/signet-cni/signet/internal/kube"
)

// size is how much there is of everything.
type size struct{ nodes, pods, identities, policies int }

func (s size) String() string {
	return fmt.Sprintf("%d nodes, %d pods, %d identities, %d policies", s.nodes, s.pods, s.identities, s.policies)
}

// spaces is how many namespaces there are.
const spaces = 100

func spaceName(n int) string { return fmt.Sprintf("space-%d", n) }

func space(n int) *corev1.Namespace {
	return &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{
		Name: spaceName(n), Labels: map[string]string{"env": fmt.Sprintf("env-%d", n%3)},
	}}
}

func nodeName(n int) string { return fmt.Sprintf("node-%d", n) }

// nodeCIDR is the pod range of a node, below 10.0.0.0/8.
func nodeCIDR(n int) netip.Prefix {
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(n >> 8), byte(n), 0}), 24)
}

// nodeAddr is a node's address on the underlay, below 172.16.0.0/12.
func nodeAddr(n int) netip.Addr {
	return netip.AddrFrom4([4]byte{172, 16 + byte(n>>14), byte(n >> 6), byte(n%64) + 1})
}

func apiNode(n int) *corev1.Node {
	cidr := nodeCIDR(n).String()
	return &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: nodeName(n), Labels: map[string]string{
			"kubernetes.io/hostname": nodeName(n), kube.TunnelLabel: "published",
		}},
		Spec:   corev1.NodeSpec{PodCIDR: cidr, PodCIDRs: []string{cidr}},
		Status: corev1.NodeStatus{Addresses: []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: nodeAddr(n).String()}}},
	}
}

// podLabels are the labels of a pod of the n-th set.
func podLabels(n int) map[string]string {
	n /= spaces
	return map[string]string{
		"app": fmt.Sprintf("app-%d", n), "tier": fmt.Sprintf("tier-%d", n%4), "version": fmt.Sprintf("v%d", n%7),
		"pod-template-hash": "5d9f7c6b8",
	}
}

// set is the n-th identity's.
func set(n int) identity.Set {
	object := space(n % spaces)
	return identity.NewSet(object.Name, object.Labels, podLabels(n), identity.DefaultIgnore())
}

// setOf tells which of so many sets a pod has: those of one node differ.
func setOf(pod, sets int) int { return (pod*7919 + pod/5000*31) % sets }

// apiPod is the n-th pod.
func apiPod(n int, s size) *corev1.Pod {
	which := setOf(n, s.identities)
	return makePod(fmt.Sprintf("pod-%d", n), which%spaces, nodeName(n%s.nodes), podLabels(which))
}

func makePod(name string, spaceNumber int, node string, labels map[string]string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: spaceName(spaceNumber), Name: name, Labels: labels},
		Spec: corev1.PodSpec{NodeName: node, Containers: []corev1.Container{{
			Name: "main", Image: "registry.test/main:1", Ports: []corev1.ContainerPort{{Name: "http", ContainerPort: 8080}},
		}}},
	}
}

// apiPolicy is the n-th policy: two rules of peers by pods, by namespaces and
// by addresses, on single ports, ranges and names.
func apiPolicy(n int) *netv1.NetworkPolicy {
	with := func(key, value string) *metav1.LabelSelector {
		return &metav1.LabelSelector{MatchLabels: map[string]string{key: value}}
	}
	without := &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{
		{Key: "version", Operator: metav1.LabelSelectorOpNotIn, Values: []string{fmt.Sprintf("v%d", n%7)}},
	}}
	port := func(protocol corev1.Protocol, port intstr.IntOrString, last int32) netv1.NetworkPolicyPort {
		p := netv1.NetworkPolicyPort{Protocol: &protocol, Port: &port}
		if last != 0 {
			p.EndPort = &last
		}
		return p
	}
	types := []netv1.PolicyType{netv1.PolicyTypeIngress}
	if n%2 == 0 {
		types = append(types, netv1.PolicyTypeEgress)
	}
	return &netv1.NetworkPolicy{
		ObjectMeta: metav1.ObjectMeta{Namespace: spaceName(n % spaces), Name: fmt.Sprintf("policy-%d", n)},
		Spec: netv1.NetworkPolicySpec{
			PodSelector: *with("tier", fmt.Sprintf("tier-%d", n/spaces%4)), PolicyTypes: types,
			Ingress: []netv1.NetworkPolicyIngressRule{
				{
					From:  []netv1.NetworkPolicyPeer{{PodSelector: with("app", fmt.Sprintf("app-%d", n/10))}, {PodSelector: without}},
					Ports: []netv1.NetworkPolicyPort{port(corev1.ProtocolTCP, intstr.FromInt32(8080), 0)},
				},
				{
					From: []netv1.NetworkPolicyPeer{{
						NamespaceSelector: with("env", fmt.Sprintf("env-%d", n%3)), PodSelector: with("tier", "tier-1"),
					}},
					Ports: []netv1.NetworkPolicyPort{
						port(corev1.ProtocolTCP, intstr.FromInt32(30000), 32767), port(corev1.ProtocolUDP, intstr.FromString("dns"), 0),
					},
				},
			},
			Egress: []netv1.NetworkPolicyEgressRule{{To: []netv1.NetworkPolicyPeer{
				{IPBlock: &netv1.IPBlock{CIDR: fmt.Sprintf("10.%d.0.0/16", n%256)}}, {NamespaceSelector: &metav1.LabelSelector{}},
			}}},
		},
	}
}
