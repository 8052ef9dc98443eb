package agents

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"
)

// A command asks for some dozen things at once.
const (
	requestsPerSecond = 50
	requestBurst      = 100
)

// listTime bounds one request that is no session.
const listTime = 15 * time.Second

// Config says which cluster is meant. The zero value means what kubectl would
// take.
type Config struct {
	Kubeconfig string // path; "": $KUBECONFIG, then ~/.kube/config
	Context    string // "": the current one
	Namespace  string // of the agents; "": DefaultNamespace
}

// Cluster is the agents of one cluster. It is safe for concurrent use.
type Cluster struct {
	rest      *rest.Config
	core      typedcorev1.CoreV1Interface
	namespace string
	context   string
}

// Connect reads the kubeconfig. It does not send anything yet.
func Connect(c Config) (*Cluster, error) {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = c.Kubeconfig
	loader := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules,
		&clientcmd.ConfigOverrides{CurrentContext: c.Context})
	config, err := loader.ClientConfig()
	if err != nil {
		return nil, explainConfig(err)
	}
	config.UserAgent = "signet"
	klog.SetSlogLogger(slog.New(slog.DiscardHandler)) // what fails comes back as an error
	config.QPS, config.Burst = requestsPerSecond, requestBurst
	core, err := typedcorev1.NewForConfig(config)
	if err != nil {
		return nil, explainConfig(err)
	}
	if c.Namespace == "" {
		c.Namespace = DefaultNamespace
	}
	if raw, err := loader.RawConfig(); err == nil && c.Context == "" {
		c.Context = raw.CurrentContext
	}
	return &Cluster{rest: config, core: core, namespace: c.Namespace, context: c.Context}, nil
}

// Name is the context of the kubeconfig.
func (c *Cluster) Name() string { return c.context }

// Agents lists the agents by node, and the nodes that have none if the user
// may list nodes. It fails if there is no agent at all.
func (c *Cluster) Agents(ctx context.Context) ([]Agent, error) {
	ctx, cancel := context.WithTimeout(ctx, listTime)
	defer cancel()
	pods, err := c.core.Pods(c.namespace).List(ctx, metav1.ListOptions{LabelSelector: selector})
	if err != nil {
		return nil, c.explain(err, "list pods in namespace "+c.namespace)
	}
	found := byNode(pods.Items)
	if len(found) == 0 {
		return nil, fmt.Errorf("no Signet agent in namespace %s of %s: install Signet with "+
			"\"kubectl apply -f deploy/signet.yaml\", or name the namespace with --signet-namespace",
			c.namespace, c.rest.Host)
	}
	nodes, err := c.core.Nodes().List(ctx, metav1.ListOptions{})
	if err != nil && !apierrors.IsForbidden(err) {
		return nil, c.explain(err, "list nodes")
	}
	if err == nil {
		addMissing(found, nodes.Items)
	}
	return sorted(found), nil
}

func addMissing(found map[string]Agent, nodes []corev1.Node) {
	for i := range nodes {
		name := nodes[i].Name
		if _, ok := found[name]; !ok && nodes[i].Labels[corev1.LabelOSStable] != "windows" {
			found[name] = Agent{Node: name, Problem: "the node has no agent pod: see " +
				"\"kubectl -n kube-system describe daemonset signet\""}
		}
	}
}
