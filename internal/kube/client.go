package kube

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"

	"github.com/signet-cni/signet/internal/kube/api"
)

const (
	// requestTime bounds one request that is not a watch.
	requestTime = 10 * time.Second
	userAgent   = "signet-agent"
)

// Rate bounds how much one process asks of the API server.
type Rate struct {
	PerSecond float32
	Burst     int
}

var (
	// NodeRate is an agent's: it makes few requests; a burst comes with pods
	// that start together.
	NodeRate = Rate{PerSecond: 50, Burst: 100}
	// ClusterRate is that of the one process which looks at every node.
	ClusterRate = Rate{PerSecond: 500, Burst: 1000}
)

// Client speaks to the API server for one node. It is safe for concurrent use.
type Client struct {
	core       kubernetes.Interface
	dynamic    dynamic.Interface // writes Signet's own kinds
	tunnels    rest.Interface    // reads them
	identities rest.Interface    // reads them
	node       string
	log        *slog.Logger
}

// Connect makes the client of the node, or other process, of that name. With an empty kubeconfig
// path it takes the address and the service account of the pod it runs in. It
// does not send anything yet. What client-go itself logs goes to log as well.
func Connect(kubeconfig, node string, rate Rate, log *slog.Logger) (*Client, error) {
	klog.SetSlogLogger(log)
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return nil, fmt.Errorf("kube: configuration: %w", err)
	}
	config.QPS, config.Burst = rate.PerSecond, rate.Burst
	return newClient(config, node, log)
}

func newClient(config *rest.Config, node string, log *slog.Logger) (*Client, error) {
	if node == "" {
		return nil, errors.New("kube: the name of the node is empty")
	}
	config = rest.CopyConfig(config)
	config.UserAgent = userAgent
	objects, err := dynamic.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("kube: client: %w", err)
	}
	tunnels, err := newReader(config, api.TunnelCodec())
	if err != nil {
		return nil, err
	}
	identities, err := newReader(config, api.IdentityCodec())
	if err != nil {
		return nil, err
	}
	config.ContentType = "application/vnd.kubernetes.protobuf"
	config.AcceptContentTypes = "application/vnd.kubernetes.protobuf,application/json"
	core, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("kube: client: %w", err)
	}
	return &Client{core: core, dynamic: objects, tunnels: tunnels, identities: identities, node: node, log: log}, nil
}

// newReader makes the client that reads one of Signet's own kinds.
func newReader(config *rest.Config, codec runtime.NegotiatedSerializer) (rest.Interface, error) {
	config = rest.CopyConfig(config)
	config.APIPath, config.GroupVersion, config.NegotiatedSerializer = "/apis", &api.GroupVersion, codec
	client, err := rest.RESTClientFor(config)
	if err != nil {
		return nil, fmt.Errorf("kube: client: %w", err)
	}
	return client, nil
}

// bounded limits the time of one request.
func bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, requestTime)
}
