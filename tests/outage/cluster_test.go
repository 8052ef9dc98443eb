//go:build e2e

package outage

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"

	authv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	netv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/signet-cni/signet/tests/control/plane"
	"github.com/signet-cni/signet/tests/netns/harness"
)

const (
	space    = "test"
	settings = `{clusterID: "51c7e1", clusterCIDR: 10.244.0.0/16, serviceCIDR: 10.96.0.0/16, wireguardPort: 51872, logLevel: info}`
	// patience is what agents get for anything that no requirement bounds; an
	// emulated machine needs minutes.
	patience = 10 * time.Minute
)

// cluster is an API server and nodes with agents.
type cluster struct {
	t       *testing.T
	plane   *plane.Plane
	core    kubernetes.Interface
	workers []*harness.Worker
}

// newCluster takes Signet's commands, and those of Kubernetes, from directory
// bin, and the manifest from deploy.
func newCluster(t *testing.T, bin string, nodes int) *cluster {
	t.Helper()
	machines := harness.NewCluster(t, 0, harness.Options{})
	p, err := plane.Start(t.Context(), t.TempDir(), harness.Router.String(), plane.Binaries{
		Etcd: filepath.Join(bin, "etcd"), APIServer: filepath.Join(bin, "kube-apiserver"),
	})
	must(t, err)
	t.Cleanup(p.Stop)
	must(t, p.Apply(t.Context(), filepath.Join(bin, "kubectl"), "../../deploy/signet.yaml"))
	config, err := clientcmd.BuildConfigFromFlags("", p.Kubeconfig)
	must(t, err)
	core, err := kubernetes.NewForConfig(config)
	must(t, err)
	c := &cluster{t: t, plane: p, core: core}
	_, err = core.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: space}}, metav1.CreateOptions{})
	must(t, err)
	for range nodes {
		w := machines.AddWorker(bin)
		c.workers = append(c.workers, w)
		must(t, c.run(w))
	}
	for _, w := range c.workers {
		must(t, w.AwaitPods(patience))
	}
	return c
}

// run makes the worker's Node and starts its agent.
func (c *cluster) run(w *harness.Worker) error {
	node, err := c.core.CoreV1().Nodes().Create(c.t.Context(), &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: w.Name},
		Spec:       corev1.NodeSpec{PodCIDR: w.PodCIDR.String(), PodCIDRs: []string{w.PodCIDR.String()}},
		Status: corev1.NodeStatus{Addresses: []corev1.NodeAddress{
			{Type: corev1.NodeInternalIP, Address: w.Addr.String()},
		}},
	}, metav1.CreateOptions{})
	if err != nil {
		return err
	}
	ask := &authv1.TokenRequest{Spec: authv1.TokenRequestSpec{
		BoundObjectRef: &authv1.BoundObjectReference{Kind: "Node", APIVersion: "v1", Name: node.Name, UID: node.UID},
	}}
	token, err := c.core.CoreV1().ServiceAccounts("kube-system").CreateToken(c.t.Context(), "signet", ask, metav1.CreateOptions{})
	if err != nil {
		return err
	}
	return w.Run(harness.WorkerRun{Settings: settings, Kubeconfig: c.plane.Config(token.Status.Token)})
}

// addPod starts a pod whose only label is its role, which is its name, too.
func (c *cluster) addPod(w *harness.Worker, role string) *harness.Pod {
	c.t.Helper()
	object, err := c.core.CoreV1().Pods(space).Create(c.t.Context(), &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: role, Labels: map[string]string{"role": role}},
		Spec: corev1.PodSpec{
			NodeName: w.Name, Containers: []corev1.Container{{Name: "main", Image: "registry.test/main:1"}},
		},
	}, metav1.CreateOptions{})
	must(c.t, err)
	p, err := w.AddPod(space, role, string(object.UID))
	if err != nil {
		c.t.Fatalf("%v; %s", err, w.Said())
	}
	return p
}

// admit lets pods of a role, and nobody else, reach those of another.
func (c *cluster) admit(to, from string) {
	c.t.Helper()
	role := func(name string) metav1.LabelSelector {
		return metav1.LabelSelector{MatchLabels: map[string]string{"role": name}}
	}
	peer := role(from)
	_, err := c.core.NetworkingV1().NetworkPolicies(space).Create(c.t.Context(), &netv1.NetworkPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("%s-to-%s", from, to)},
		Spec: netv1.NetworkPolicySpec{
			PodSelector: role(to),
			Ingress:     []netv1.NetworkPolicyIngressRule{{From: []netv1.NetworkPolicyPeer{{PodSelector: &peer}}}},
		},
	}, metav1.CreateOptions{})
	must(c.t, err)
}

// awaitWell waits until every agent is ready and knows of no problem.
func (c *cluster) awaitWell() {
	c.t.Helper()
	for _, w := range c.workers {
		for deadline := time.Now().Add(patience); ; time.Sleep(500 * time.Millisecond) {
			status, err := w.Agent().Status(c.t.Context())
			if err == nil && status.Ready && len(status.Problems) == 0 {
				break
			}
			if time.Now().After(deadline) {
				c.t.Fatalf("%s: ready %v, problems %q, %v; %s", w.Name, status.Ready, status.Problems, err, w.Said())
			}
		}
	}
}
