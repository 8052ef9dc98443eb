package kube

import (
	"errors"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	netv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/fields"

	"github.com/signet-cni/signet/enforce/policy"
	"github.com/signet-cni/signet/internal/kube/api"
	"github.com/signet-cni/signet/overlay"
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
	watches

	pods       collection[Pod]
	namespaces collection[annotated[map[string]string]]
	policies   collection[annotated[policy.Policy]]
	services   collection[serviceFront]
	slices     collection[serviceSlice]
	identities collection[published]
	tunnels    collection[tunnel]
	nodes      collection[Node]
	joining    collection[Node]

	newcomers newcomers
	published memo[usable[overlay.Node]]
	read      memo[usable[policy.Policy]]
	labels    memo[map[string]map[string]string] // of namespaces, by name
	altered   altered
}

// NewWatcher prepares the watches; Run starts them.
func NewWatcher(client *Client, config Config) (*Watcher, error) {
	if config.Changed == nil || config.Prefix == nil {
		return nil, errors.New("kube: watcher: Changed and Prefix are required")
	}
	w := &Watcher{watches: watches{client: client}}
	config.Changed = w.forgetting(config.Changed)
	err := errors.Join(w.addCore(config), w.addOwn(config))
	if err != nil {
		return nil, err
	}
	return w, nil
}

// addCore watches the API server's own kinds.
func (w *Watcher) addCore(config Config) error {
	core := w.client.core.CoreV1().RESTClient()
	networking := w.client.core.NetworkingV1().RESTClient()
	discovery := w.client.core.DiscoveryV1().RESTClient()
	here := fields.OneTermEqualSelector("spec.nodeName", w.client.node)
	itself := fields.OneTermEqualSelector("metadata.name", w.client.node)
	return errors.Join(
		add(&w.watches, config.Changed, &w.pods, Pods, listed(core, Pods, here), &corev1.Pod{}, parsePod),
		add(&w.watches, config.Changed, &w.nodes, Nodes, listed(core, Nodes, itself), &corev1.Node{}, parseNode),
		add(&w.watches, config.Changed, &w.joining, Joining, unlabelled(core, Nodes, TunnelLabel), &corev1.Node{}, parseNode),
		add(&w.watches, config.Changed, &w.namespaces, Namespaces, listed(core, Namespaces, everything),
			&corev1.Namespace{}, withAnnotations(namespaceKind, parseNamespace)),
		addNoting(&w.watches, config.Changed, &w.policies, NetworkPolicies, listed(networking, NetworkPolicies, everything),
			&netv1.NetworkPolicy{}, withAnnotations("NetworkPolicy", parsePolicy),
			func(it *item[annotated[policy.Policy]], _ bool) { w.notePolicy(it, config.Changed) }),
		add(&w.watches, config.Changed, &w.services, Services, listed(core, Services, everything),
			&corev1.Service{}, parseService),
		add(&w.watches, config.Changed, &w.slices, EndpointSlices, listed(discovery, EndpointSlices, everything),
			&discoveryv1.EndpointSlice{}, sliceParser(w.client.node)),
	)
}

// addOwn watches Signet's own kinds.
func (w *Watcher) addOwn(config Config) error {
	return errors.Join(
		addNoting(&w.watches, config.Changed, &w.identities, Identities, listed(w.client.identities, Identities, everything),
			&api.ReceivedIdentity{}, parseIdentity, func(it *item[published], came bool) { w.note(it, came, config.Changed) }),
		add(&w.watches, config.Changed, &w.tunnels, Tunnels, listed(w.client.tunnels, Tunnels, everything),
			&api.ReceivedTunnel{}, tunnelParser(config.Prefix)),
	)
}

func parseNamespace(in *corev1.Namespace) (map[string]string, []Problem) { return in.Labels, nil }
