//go:build e2e

package kube

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"os"
	"sync"
	"testing"
	"time"

	authv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/signet-cni/signet/identity"
	"github.com/signet-cni/signet/internal/kube/api"
)

// kubeconfigVariable names an administrator's kubeconfig of a cluster in which
// deploy/signet.yaml is applied. The tests here make nodes, identities and
// tunnels of their own there, and remove them.
const kubeconfigVariable = "SIGNET_TEST_KUBECONFIG"

// realCluster is a cluster with an administrator, and agents of two nodes
// whose pod ranges and addresses no real node has.
type realCluster struct {
	t      *testing.T
	config *rest.Config
	admin  *Client
}

const (
	realA = "node-201" // named as tunnelNode names them
	realB = "node-202"
)

func openCluster(t *testing.T) *realCluster {
	t.Helper()
	path := os.Getenv(kubeconfigVariable)
	if path == "" {
		t.Skipf("needs a cluster: %s is not set", kubeconfigVariable)
	}
	config, err := clientcmd.BuildConfigFromFlags("", path)
	if err != nil {
		t.Fatal(err)
	}
	admin, err := newClient(config, "admin", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	c := &realCluster{t: t, config: config, admin: admin}
	for _, name := range []string{realA, realB} {
		node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}}
		if _, err := admin.core.CoreV1().Nodes().Create(t.Context(), node, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			ctx := context.Background()
			_ = admin.core.CoreV1().Nodes().Delete(ctx, name, metav1.DeleteOptions{})
			_ = admin.dynamic.Resource(api.Tunnels).Delete(ctx, name, metav1.DeleteOptions{})
		})
	}
	return c
}

// agent makes a client with the token that the agent of a node has.
func (c *realCluster) agent(node string) *Client { return c.account("signet", node) }

// account makes a client with the token that a pod of the service account has
// on a node.
func (c *realCluster) account(name, node string) *Client {
	c.t.Helper()
	object, err := c.admin.core.CoreV1().Nodes().Get(c.t.Context(), node, metav1.GetOptions{})
	if err != nil {
		c.t.Fatal(err)
	}
	ask := &authv1.TokenRequest{Spec: authv1.TokenRequestSpec{
		BoundObjectRef: &authv1.BoundObjectReference{Kind: "Node", APIVersion: "v1", Name: node, UID: object.UID},
	}}
	token, err := c.admin.core.CoreV1().ServiceAccounts("kube-system").
		CreateToken(c.t.Context(), name, ask, metav1.CreateOptions{})
	if err != nil {
		c.t.Fatal(err)
	}
	config := rest.AnonymousClientConfig(c.config)
	config.BearerToken = token.Status.Token
	client, err := newClient(config, node, slog.New(slog.DiscardHandler))
	if err != nil {
		c.t.Fatal(err)
	}
	return client
}

// watch runs a Watcher until the test ends.
func (c *realCluster) watch(client *Client) (*Watcher, *pokes) {
	c.t.Helper()
	seen := &pokes{count: map[Kind]int{}}
	w, err := NewWatcher(client, Config{Changed: seen.add, Prefix: derivePrefix})
	if err != nil {
		c.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); w.Run(ctx) }()
	c.t.Cleanup(func() { cancel(); <-done })
	limit, stop := context.WithTimeout(ctx, 30*time.Second)
	defer stop()
	if err := w.WaitSynced(limit); err != nil {
		c.t.Fatal(err)
	}
	return w, seen
}

type pokes struct {
	mu    sync.Mutex
	count map[Kind]int
}

func (p *pokes) add(kind Kind) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.count[kind]++
}

func (p *pokes) of(kind Kind) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.count[kind]
}

// An agent publishes its own node, changes included, and nothing of another.
func TestRealTunnels(t *testing.T) {
	c := openCluster(t)
	client := c.agent(realA)
	w, _ := c.watch(client)
	node := tunnelNode(201)
	prefix, _ := derivePrefix(node)
	published := func() bool {
		nodes, _ := w.Nodes()
		for _, n := range nodes {
			if n.Name == node.Name && sameTunnel(n, node) {
				return true
			}
		}
		return false
	}
	for range 2 {
		if err := w.PublishTunnel(t.Context(), node, prefix); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the tunnel comes back", published)
		node.Addresses = append(node.Addresses, netip.MustParseAddr("172.18.1.201"))
	}
	foreign, err := api.Encode(encodeTunnel(tunnelNode(202), prefix, "x"))
	if err != nil {
		t.Fatal(err)
	}
	options := metav1.ApplyOptions{FieldManager: fieldManager, Force: true}
	if _, err := client.dynamic.Resource(api.Tunnels).Apply(t.Context(), realB, foreign, options); !apierrors.IsForbidden(err) {
		t.Errorf("another node's tunnel: %v", err)
	}
	if _, err := client.dynamic.Resource(api.Tunnels).Create(t.Context(), foreign, metav1.CreateOptions{}); !apierrors.IsForbidden(err) {
		t.Errorf("another node's tunnel, created: %v", err)
	}
}

func TestRealCondition(t *testing.T) {
	c := openCluster(t)
	client := c.agent(realA)
	w, _ := c.watch(client)
	if err := w.SetNetworkUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the condition comes back", func() bool { node, _, _ := w.Node(); return node.NetworkUp })
	eventually(t, "the node is none that joins", func() bool {
		_, joining := w.joining.get("", realA)
		_, other := w.joining.get("", realB)
		return !joining && other
	})
	patch := []byte(`{"status":{"conditions":[{"type":"NetworkUnavailable","status":"True"}]}}`)
	_, err := client.core.CoreV1().Nodes().Patch(t.Context(), realB, types.StrategicMergePatchType, patch, metav1.PatchOptions{}, "status")
	if !apierrors.IsForbidden(err) {
		t.Errorf("another node's condition: %v", err)
	}
}

func TestRealIdentities(t *testing.T) {
	c := openCluster(t)
	client := c.agent(realA)
	w, _ := c.watch(client)
	store := client.IdentityStore()
	set := concertSet()
	id := identity.Number(set, 0)
	identities := c.admin.dynamic.Resource(api.Identities)
	t.Cleanup(func() { _ = identities.Delete(context.Background(), id.String(), metav1.DeleteOptions{}) })
	if err := store.Create(t.Context(), id, set); err != nil {
		t.Fatal(err)
	}
	if err := store.Create(t.Context(), id, set); !errors.Is(err, identity.ErrExists) {
		t.Errorf("created twice: %v", err)
	}
	if got, found, err := store.Get(t.Context(), id); err != nil || !found || !got.Equal(set) {
		t.Errorf("get: %+v, %t, %v", got, found, err)
	}
	eventually(t, "the identity is watched", func() bool { sets, _ := w.Identities(); return sets[id].Equal(set) })
	patch := []byte(`{"spec":{"podLabels":{"role":"admin"}}}`)
	if _, err := identities.Patch(t.Context(), id.String(), types.MergePatchType, patch, metav1.PatchOptions{}); !apierrors.IsInvalid(err) {
		t.Errorf("changed by an administrator: %v", err)
	}
	_, err := client.dynamic.Resource(api.Identities).Patch(t.Context(), id.String(), types.MergePatchType, patch, metav1.PatchOptions{})
	if !apierrors.IsForbidden(err) {
		t.Errorf("changed by an agent: %v", err)
	}
	for _, name := range []string{"255", "1", "4294967296", "9999999999", "vip", "0300"} {
		object, _ := encodeIdentity(id, set)
		object.SetName(name)
		if _, err := identities.Create(t.Context(), object, metav1.CreateOptions{}); !apierrors.IsInvalid(err) {
			t.Errorf("name %s: %v", name, err)
		}
	}
}

// The schema stops most of what the parser would refuse.
func TestRealSchema(t *testing.T) {
	c := openCluster(t)
	tunnels := c.admin.dynamic.Resource(api.Tunnels)
	list := func(values ...any) []any { return values }
	for _, test := range []struct {
		field string
		value any
	}{
		{"publicKey", "AAAA"},
		{"publicKey", nil},
		{"endpoint", "example.org:1"},
		{"endpoint", "172.18.0.1:0"},
		{"podCIDRs", list()},
		{"podCIDRs", list("fd00::/64")},
		{"podCIDRs", list("10.1.0.0/24", "10.2.0.0/24")},
		{"podCIDRs", list("10.1.0.1/24")},
		{"podCIDRs", list("nonsense")},
		{"addresses", list("nonsense")},
		{"prefix", "10.0.0.0/8"},
		{"prefix", "fd51:c7e1:af4:100::1/64"},
	} {
		object := encodedTunnel(t, tunnelNode(201))
		if err := unstructured.SetNestedField(object.Object, test.value, "spec", test.field); err != nil {
			t.Fatal(err)
		}
		if _, err := tunnels.Create(t.Context(), object, metav1.CreateOptions{}); !apierrors.IsInvalid(err) {
			t.Errorf("%s %v: %v", test.field, test.value, err)
		}
	}
}

// Live changes of the API server's own kinds arrive and poke; an annotation
// does not.
func TestRealWatch(t *testing.T) {
	c := openCluster(t)
	w, seen := c.watch(c.agent(realA))
	namespaces := c.admin.core.CoreV1().Namespaces()
	space := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "signet-test-", Labels: map[string]string{"team": "a"}}}
	space, err := namespaces.Create(t.Context(), space, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = namespaces.Delete(context.Background(), space.Name, metav1.DeleteOptions{}) })
	eventually(t, "the namespace", func() bool { return w.Namespaces()[space.Name]["team"] == "a" })
	space.Labels["team"] = "b"
	if _, err = namespaces.Update(t.Context(), space, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the namespace's new label", func() bool { return w.Namespaces()[space.Name]["team"] == "b" })

	rule := policyOf(t, `{podSelector: {}, ingress: [{from: [{podSelector: {}}]}]}`)
	rule.Namespace, rule.UID = space.Name, ""
	policies := c.admin.core.NetworkingV1().NetworkPolicies(space.Name)
	before := seen.of(NetworkPolicies)
	if _, err := policies.Create(t.Context(), rule, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	has := func() bool {
		all, _ := w.Policies()
		for _, p := range all {
			if p.Namespace == space.Name && p.IsolatesIngress && len(p.Ingress) == 1 {
				return true
			}
		}
		return false
	}
	eventually(t, "the policy", has)
	annotation := []byte(`{"metadata":{"annotations":{"a":"b"}}}`)
	if _, err := policies.Patch(t.Context(), rule.Name, types.MergePatchType, annotation, metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := policies.Delete(t.Context(), rule.Name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the policy's end", func() bool { return !has() })
	time.Sleep(100 * time.Millisecond) // for a poke too many
	if got := seen.of(NetworkPolicies) - before; got != 2 {
		t.Errorf("%d pokes for a creation, an annotation and a deletion, want 2", got)
	}
}

func TestRealEvents(t *testing.T) {
	c := openCluster(t)
	problem := Problem{Kind: api.TunnelKind, Name: realA, Message: "only a test"}
	for _, node := range []string{realA, realB} { // the second finds it told
		if err := NewReporter(c.agent(node)).Report(t.Context(), []Problem{problem}); err != nil {
			t.Fatal(err)
		}
	}
	events := c.admin.core.CoreV1().Events(metav1.NamespaceDefault)
	event, err := events.Get(t.Context(), eventName(problem), metav1.GetOptions{})
	if err != nil || event.Message != problem.Message || event.InvolvedObject.Name != realA {
		t.Errorf("event %+v, %v", event, err)
	}
	_ = events.Delete(t.Context(), eventName(problem), metav1.DeleteOptions{})
}
