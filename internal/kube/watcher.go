package kube

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	netv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/client-go/tools/cache"

	"github.com/signet-cni/signet/enforce/policy"
	"github.com/signet-cni/signet/internal/kube/api"
)

// Config is what a Watcher needs besides its Client. Both are required.
type Config struct {
	// Changed is called after an object of a kind came, went, or changed in
	// what it means. It must not block. Level triggered: it says that there
	// is something to look at, not what.
	Changed func(Kind)
	// Prefix derives a node's prefix inside the tunnel. Tunnels that publish
	// another one are refused.
	Prefix PrefixFunc
}

// Watcher holds what the node knows of the cluster. Its accessors read the
// caches only: they never block on the network, and give the last known state
// while the API server is away. Maps and slices inside what they give are
// shared and must not be modified. It is safe for concurrent use.
type Watcher struct {
	client *Client
	feeds  []*feed

	pods       collection[Pod]
	namespaces collection[annotated[map[string]string]]
	policies   collection[annotated[policy.Policy]]
	services   collection[serviceFront]
	slices     collection[serviceSlice]
	identities collection[published]
	tunnels    collection[tunnel]
	nodes      collection[Node]
}

// NewWatcher prepares the watches; Run starts them.
func NewWatcher(client *Client, config Config) (*Watcher, error) {
	if config.Changed == nil || config.Prefix == nil {
		return nil, errors.New("kube: watcher: Changed and Prefix are required")
	}
	w := &Watcher{client: client}
	err := errors.Join(w.addCore(config), w.addOwn(config))
	if err != nil {
		return nil, err
	}
	return w, nil
}

// add makes a collection and remembers its feed.
func add[S source, T any](w *Watcher, config Config, into *collection[T], kind Kind,
	from cache.ListerWatcher, example S, parse func(S) (T, []Problem),
) error {
	failed := func(kind Kind, err error) {
		w.client.log.Warn("watch failed, will be repeated", "kind", kind, "error", err)
	}
	made, f, err := newCollection[S, T](kind, from, example, keep(parse), config.Changed, failed)
	if err != nil {
		return err
	}
	*into = made
	w.feeds = append(w.feeds, f)
	return nil
}

// addCore watches the API server's own kinds.
func (w *Watcher) addCore(config Config) error {
	core := w.client.core.CoreV1().RESTClient()
	networking := w.client.core.NetworkingV1().RESTClient()
	discovery := w.client.core.DiscoveryV1().RESTClient()
	here := fields.OneTermEqualSelector("spec.nodeName", w.client.node)
	itself := fields.OneTermEqualSelector("metadata.name", w.client.node)
	return errors.Join(
		add(w, config, &w.pods, Pods, builtin(core, Pods, here), &corev1.Pod{}, parsePod),
		add(w, config, &w.nodes, Nodes, builtin(core, Nodes, itself), &corev1.Node{}, parseNode),
		add(w, config, &w.namespaces, Namespaces, builtin(core, Namespaces, everything),
			&corev1.Namespace{}, withAnnotations(namespaceKind, parseNamespace)),
		add(w, config, &w.policies, NetworkPolicies, builtin(networking, NetworkPolicies, everything),
			&netv1.NetworkPolicy{}, withAnnotations("NetworkPolicy", parsePolicy)),
		add(w, config, &w.services, Services, builtin(core, Services, everything),
			&corev1.Service{}, parseService),
		add(w, config, &w.slices, EndpointSlices, builtin(discovery, EndpointSlices, everything),
			&discoveryv1.EndpointSlice{}, sliceParser(w.client.node)),
	)
}

// addOwn watches Signet's own kinds.
func (w *Watcher) addOwn(config Config) error {
	return errors.Join(
		add(w, config, &w.identities, Identities, custom(w.client.dynamic, api.Identities),
			&unstructured.Unstructured{}, parseIdentity),
		add(w, config, &w.tunnels, Tunnels, custom(w.client.dynamic, api.Tunnels),
			&unstructured.Unstructured{}, tunnelParser(config.Prefix)),
	)
}

func parseNamespace(in *corev1.Namespace) (map[string]string, []Problem) { return in.Labels, nil }

// Run watches until the context ends. It is called once.
func (w *Watcher) Run(ctx context.Context) {
	var running sync.WaitGroup
	for _, f := range w.feeds {
		running.Go(func() { f.informer.RunWithContext(ctx) })
	}
	running.Wait()
}

// HasSynced reports whether the first list of every kind has arrived. Nothing
// may be removed for being absent from a snapshot before.
func (w *Watcher) HasSynced() bool {
	for _, f := range w.feeds {
		if !f.informer.HasSynced() {
			return false
		}
	}
	return true
}

// WaitSynced waits for HasSynced. If the context ends before, the error names
// the kinds that are missing, and why.
func (w *Watcher) WaitSynced(ctx context.Context) error {
	synced := make([]cache.InformerSynced, len(w.feeds))
	for n, f := range w.feeds {
		synced[n] = f.informer.HasSynced
	}
	if cache.WaitForCacheSync(ctx.Done(), synced...) {
		return nil
	}
	var missing []string
	for _, status := range w.Status() {
		switch {
		case status.Synced:
		case status.Error != nil:
			missing = append(missing, fmt.Sprintf("%s (%v)", status.Kind, status.Error))
		default:
			missing = append(missing, string(status.Kind))
		}
	}
	return fmt.Errorf("kube: not yet known: %s: %w", strings.Join(missing, ", "), context.Cause(ctx))
}

// Status gives the state of every watch, in a fixed order.
func (w *Watcher) Status() []WatchStatus {
	statuses := make([]WatchStatus, 0, len(w.feeds))
	for _, f := range w.feeds {
		statuses = append(statuses, f.status())
	}
	return statuses
}
