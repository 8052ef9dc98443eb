package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	netv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/kubernetes"
	"k8s.io/klog/v2"

	"github.com/signet-cni/signet/identity"
	"github.com/signet-cni/signet/internal/kube"
)

// What a full cluster has.
const (
	spaces   = 100
	policies = 1000
	sets     = 1000
)

// atATime is how many requests are under way.
const atATime = 16

// each calls do for every number below count.
func each(ctx context.Context, count int, do func(ctx context.Context, n int) error) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(atATime)
	for n := range count {
		group.Go(func() error { return do(ctx, n) })
	}
	return group.Wait()
}

func createSpaces(ctx context.Context, core kubernetes.Interface) error {
	return each(ctx, spaces, func(ctx context.Context, n int) error {
		namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: spaceName(n), Labels: spaceLabels(n)}}
		_, err := core.CoreV1().Namespaces().Create(ctx, namespace, metav1.CreateOptions{})
		return err
	})
}

func createPolicies(ctx context.Context, core kubernetes.Interface) error {
	return each(ctx, policies, func(ctx context.Context, n int) error {
		p := somePolicy(n)
		_, err := core.NetworkingV1().NetworkPolicies(p.Namespace).Create(ctx, p, metav1.CreateOptions{})
		return err
	})
}

// createIdentities publishes what agents of nodes with such pods would.
func createIdentities(ctx context.Context, _ kubernetes.Interface) error {
	quiet := slog.New(slog.DiscardHandler)
	klog.SetSlogLogger(quiet)
	client, err := kube.Connect(os.Getenv("SIGNET_TEST_KUBECONFIG"), nodeName(0), kube.ClusterRate, quiet)
	if err != nil {
		return err
	}
	registry := identity.NewRegistry(client.IdentityStore())
	return each(ctx, sets, func(ctx context.Context, n int) error {
		_, err := registry.Resolve(ctx, someSet(n))
		return err
	})
}

func spaceName(n int) string { return fmt.Sprint("space-", n%spaces) }

func spaceLabels(n int) map[string]string {
	return map[string]string{"env": fmt.Sprint("env-", n%spaces%3)}
}

func someSet(n int) identity.Set {
	return identity.NewSet(spaceName(n), spaceLabels(n), map[string]string{"role": fmt.Sprint("role-", n/spaces)}, identity.DefaultIgnore())
}

// fleetPolicy isolates one role of a namespace, and admits another there, and
// one in some of the other namespaces.
func somePolicy(n int) *netv1.NetworkPolicy {
	role := n / spaces
	return &netv1.NetworkPolicy{
		ObjectMeta: metav1.ObjectMeta{Namespace: spaceName(n), Name: fmt.Sprint("policy-", n)},
		Spec: netv1.NetworkPolicySpec{
			PodSelector: *withLabel("role", fmt.Sprint("role-", role)),
			Ingress: []netv1.NetworkPolicyIngressRule{{
				From: []netv1.NetworkPolicyPeer{
					{PodSelector: withLabel("role", fmt.Sprint("role-", (role+1)%10))},
					{NamespaceSelector: withLabel("env", fmt.Sprint("env-", n%3)), PodSelector: withLabel("role", "role-0")},
				},
				Ports: []netv1.NetworkPolicyPort{portRange(8000, 8000+int32(n))},
			}},
		},
	}
}

func withLabel(key, value string) *metav1.LabelSelector {
	return &metav1.LabelSelector{MatchLabels: map[string]string{key: value}}
}

func portRange(first, last int32) netv1.NetworkPolicyPort {
	port := intstr.FromInt32(first)
	return netv1.NetworkPolicyPort{Port: &port, EndPort: &last}
}
