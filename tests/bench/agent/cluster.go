package main

import (
	"context"
	"fmt"
	"net/netip"
	"os"

	corev1 "k8s.io/api/core/v1"
	netv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/signet-cni/signet/tests/control/worker"
)

const (
	space    = "bench"
	settings = `{clusterID: "51c7e1", clusterCIDR: 10.1.0.0/16, serviceCIDR: 10.96.0.0/16, wireguardPort: 51872, logLevel: warn}`
	// policiesInForce each admit one role to the pods.
	policiesInForce = 100
)

func nodeName(n int) string { return fmt.Sprintf("node-%d", n) }

// underlay is a node's address beneath the tunnels.
func underlay(n int) netip.Prefix {
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{172, 16, 0, byte(n) + 1}), 24)
}

// cluster is an API server with one node.
type cluster struct {
	core kubernetes.Interface
	*worker.Node
}

// connect finds the API server that tests/control has started.
func connect() (kubernetes.Interface, error) {
	config, err := clientcmd.BuildConfigFromFlags("", os.Getenv("SIGNET_TEST_KUBECONFIG"))
	if err != nil {
		return nil, fmt.Errorf("no API server; use tests/control/control.sh: %w", err)
	}
	config.QPS = -1 // the server sets the pace
	config.ContentType = "application/vnd.kubernetes.protobuf"
	return kubernetes.NewForConfig(config)
}

func newCluster(ctx context.Context, o options) (*cluster, error) {
	core, err := connect()
	if err != nil {
		return nil, err
	}
	c := &cluster{core: core}
	if err := c.fill(ctx); err != nil {
		return nil, err
	}
	c.Node, err = newWorker(ctx, core, o, 0)
	return c, err
}

// newWorker makes a node of which the object exists.
func newWorker(ctx context.Context, core kubernetes.Interface, o options, n int) (*worker.Node, error) {
	return worker.New(ctx, worker.Config{
		Name: nodeName(n), Underlay: underlay(n), Core: core, Commands: o.commands, Settings: settings,
	})
}

// createNode makes a node's object.
func createNode(ctx context.Context, core kubernetes.Interface, n int) error {
	podCIDR := fmt.Sprintf("10.1.%d.0/24", n)
	_, err := core.CoreV1().Nodes().Create(ctx, &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: nodeName(n)},
		Spec:       corev1.NodeSpec{PodCIDR: podCIDR, PodCIDRs: []string{podCIDR}},
		Status: corev1.NodeStatus{Addresses: []corev1.NodeAddress{
			{Type: corev1.NodeInternalIP, Address: underlay(n).Addr().String()},
		}},
	}, metav1.CreateOptions{})
	return err
}

// fill makes the objects that are there before any pod is.
func (c *cluster) fill(ctx context.Context) error {
	meta := metav1.CreateOptions{}
	if err := createNode(ctx, c.core, 0); err != nil {
		return err
	}
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: space}}
	if _, err := c.core.CoreV1().Namespaces().Create(ctx, namespace, meta); err != nil {
		return err
	}
	for i := range policiesInForce {
		if _, err := c.core.NetworkingV1().NetworkPolicies(space).Create(ctx, admitting(i), meta); err != nil {
			return err
		}
	}
	return nil
}

// admitting isolates all pods and admits a role.
func admitting(n int) *netv1.NetworkPolicy {
	role := &metav1.LabelSelector{MatchLabels: map[string]string{"role": fmt.Sprintf("client-%d", n)}}
	return &netv1.NetworkPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("policy-%d", n)},
		Spec:       netv1.NetworkPolicySpec{Ingress: []netv1.NetworkPolicyIngressRule{{From: []netv1.NetworkPolicyPeer{{PodSelector: role}}}}},
	}
}

// newPod makes a pod that is not attached yet.
func (c *cluster) newPod(ctx context.Context, name string) (*worker.Sandbox, error) {
	return c.NewSandbox(ctx, &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: space, Name: name, Labels: map[string]string{"role": "server"}},
		Spec: corev1.PodSpec{
			NodeName: nodeName(0), Containers: []corev1.Container{{Name: "main", Image: "registry.test/main:1"}},
		},
	})
}
