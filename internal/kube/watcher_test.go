package kube

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/signet-cni/signet/enforce/policy"
	"github.com/signet-cni/signet/identity"
)

// fromYAML reads objects for the fake API.
func fromYAML(t *testing.T, texts ...string) []any {
	t.Helper()
	var out []any
	for _, text := range texts {
		out = append(out, *decodeYAML[map[string]any](t, text))
	}
	return out
}

func cluster(t *testing.T) map[string][]any {
	t.Helper()
	set := concertSet()
	good, err := encodeIdentity(identity.Number(set, 0), set)
	if err != nil {
		t.Fatal(err)
	}
	bad := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "signet-cni.io/v1alpha1", "kind": "Identity", "metadata": map[string]any{"name": "77777"}, "spec": 5,
	}}
	return map[string][]any{
		"pods":       fromYAML(t, `{metadata: {namespace: shop, name: db-0, uid: u1, labels: {app: db}}, spec: {nodeName: node-1}}`),
		"nodes":      fromYAML(t, `{metadata: {name: node-1, uid: uid-node-1}, spec: {podCIDRs: [10.244.1.0/24]}}`),
		"namespaces": fromYAML(t, `{metadata: {name: shop, labels: {team: a}}}`, `{metadata: {name: bare}}`),
		"networkpolicies": fromYAML(t,
			`{metadata: {namespace: shop, name: good}, spec: {podSelector: {}}}`,
			`{metadata: {namespace: shop, name: bad}, spec: {podSelector: {matchLabels: {"?": x}}}}`),
		"services":       fromYAML(t, `{metadata: {namespace: shop, name: db}, spec: {clusterIP: 10.96.0.5, ports: [{port: 80}]}}`),
		"endpointslices": fromYAML(t, `{metadata: {namespace: shop, name: db-x, labels: {kubernetes.io/service-name: db}}, addressType: IPv4, ports: [{port: 80}], endpoints: [{addresses: [10.244.1.5]}]}`),
		"identities":     {good.Object, bad.Object},
		"tunnels":        {encodedTunnel(t, tunnelNode(1)).Object, encodedTunnel(t, tunnelNode(2)).Object, map[string]any{"metadata": map[string]any{"name": "node-3"}, "kind": "Tunnel", "apiVersion": "signet-cni.io/v1alpha1"}},
	}
}

func TestSnapshots(t *testing.T) {
	var mu sync.Mutex
	poked := map[Kind]bool{}
	fake := newFakeAPI(t, cluster(t))
	w := fake.watcher(t, func(kind Kind) {
		mu.Lock()
		defer mu.Unlock()
		poked[kind] = true
	})
	check := func(when string) {
		t.Helper()
		if pods := w.LocalPods(); len(pods) != 1 || pods[0].Labels["app"] != "db" {
			t.Errorf("%s: pods %+v", when, pods)
		}
		equal(t, when+": namespaces", w.Namespaces(), map[string]map[string]string{"shop": {"team": "a"}, "bare": nil})
		policies, problems := w.Policies()
		if len(policies) != 2 || policies[0].Name != "bad" || len(problems) != 1 {
			t.Errorf("%s: policies %+v, problems %v", when, policies, problems)
		}
		identities, problems := w.Identities()
		if set := concertSet(); len(identities) != 1 || !identities[identity.Number(set, 0)].Equal(set) || len(problems) != 1 {
			t.Errorf("%s: identities %+v, problems %v", when, identities, problems)
		}
		nodes, problems := w.Nodes()
		if len(nodes) != 2 || nodes[1].Name != "node-2" || len(problems) != 1 {
			t.Errorf("%s: nodes %+v, problems %v", when, nodes, problems)
		}
		services, problems := w.Services()
		if len(services) != 1 || len(services[0].Backends) != 1 || len(problems) != 0 {
			t.Errorf("%s: services %+v, problems %v", when, services, problems)
		}
		if node, _, ok := w.Node(); !ok || node.UID != "uid-node-1" || len(node.PodCIDRs) != 1 {
			t.Errorf("%s: node %+v", when, node)
		}
	}
	check("synced")
	fake.CloseClientConnections()
	fake.Config.Handler = nil
	fake.Listener.Close()
	deadline := time.Now().Add(10 * time.Second)
	for w.Status()[0].Failures == 0 {
		if time.Now().After(deadline) {
			t.Fatal("the watch does not notice that the API server is away")
		}
		time.Sleep(20 * time.Millisecond)
	}
	check("API server away")
	mu.Lock()
	defer mu.Unlock()
	for _, status := range w.Status() {
		if !poked[status.Kind] || !status.Synced || status.Objects == 0 {
			t.Errorf("poked %t, status %+v", poked[status.Kind], status)
		}
	}
}

// What a Node has for addresses is known before its tunnel is; this node's own
// is no news.
func TestJoining(t *testing.T) {
	objects := cluster(t)
	objects["nodes"] = append(objects["nodes"], fromYAML(t,
		`{metadata: {name: node-9}, status: {addresses: [{type: InternalIP, address: 172.18.0.9}, {type: InternalIP, address: "2001:db8::9"}, {type: ExternalIP, address: 192.0.2.1}]}}`)...)
	w := newFakeAPI(t, objects).watcher(t, func(Kind) {})
	equal(t, "joining", w.Joining(), []netip.Addr{netip.MustParseAddr("172.18.0.9"), netip.MustParseAddr("2001:db8::9")})
}

// Identities that come are told apart from all other changes, once.
func TestNewIdentities(t *testing.T) {
	var mu sync.Mutex
	poked := map[Kind]int{}
	w := newFakeAPI(t, cluster(t)).watcher(t, func(kind Kind) {
		mu.Lock()
		defer mu.Unlock()
		poked[kind]++
	})
	eventually(t, "pokes", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return poked[NewIdentities] == 1 && poked[Identities] == 1 // one is refused
	})
	set := concertSet()
	if got := w.NewIdentities(); len(got) != 1 || !got[identity.Number(set, 0)].Equal(set) {
		t.Errorf("new identities %v", got)
	}
	if got := w.NewIdentities(); len(got) != 0 {
		t.Errorf("told again: %v", got)
	}
}

// Policies that came or changed are told as they are now, those that have gone
// as none, and each once.
func TestAlteredPolicies(t *testing.T) {
	w := newFakeAPI(t, cluster(t)).watcher(t, func(Kind) {})
	good, bad, gone := policy.PolicyRef{Namespace: "shop", Name: "good"}, policy.PolicyRef{Namespace: "shop", Name: "bad"},
		policy.PolicyRef{Namespace: "shop", Name: "gone"}
	told := map[policy.PolicyRef]*policy.Policy{}
	eventually(t, "both policies", func() bool {
		maps.Copy(told, w.AlteredPolicies())
		return len(told) == 2
	})
	if told[good] == nil || told[good].Name != "good" || told[bad] == nil {
		t.Errorf("altered: %v", told)
	}
	it := &item[annotated[policy.Policy]]{}
	it.Namespace, it.Name = gone.Namespace, gone.Name
	w.notePolicy(it, func(Kind) {})
	told = w.AlteredPolicies()
	if now, noted := told[gone]; len(told) != 1 || !noted || now != nil {
		t.Errorf("altered: %v", told)
	}
	if told := w.AlteredPolicies(); len(told) != 0 {
		t.Errorf("told again: %v", told)
	}
}

// The agent watches what the design says, and never all pods or all nodes.
func TestWatchSet(t *testing.T) {
	fake := newFakeAPI(t, nil)
	w := fake.watcher(t, func(Kind) {})
	want := map[request]bool{
		{group: "", resource: "pods", fields: "spec.nodeName=node-1"}:   true,
		{group: "", resource: "nodes", fields: "metadata.name=node-1"}:  true,
		{group: "", resource: "nodes", labels: "!signet-cni.io/tunnel"}: true,
		{group: "", resource: "namespaces"}:                             true,
		{group: "", resource: "services"}:                               true,
		{group: "networking.k8s.io", resource: "networkpolicies"}:       true,
		{group: "discovery.k8s.io", resource: "endpointslices"}:         true,
		{group: "signet-cni.io", resource: "identities"}:                true,
		{group: "signet-cni.io", resource: "tunnels"}:                   true,
	}
	if !w.HasSynced() {
		t.Error("not synced")
	}
	got := map[request]map[string]bool{}
	deadline := time.Now().Add(10 * time.Second)
	for len(got) < len(want) || !allWatched(got) {
		if time.Now().After(deadline) {
			t.Fatalf("after 10 s: %v", got)
		}
		time.Sleep(10 * time.Millisecond)
		clear(got)
		for _, asked := range fake.seen() {
			verb := asked.verb
			asked.verb = ""
			if got[asked] == nil {
				got[asked] = map[string]bool{}
			}
			got[asked][verb] = true
		}
	}
	for asked := range got {
		if !want[asked] {
			t.Errorf("watches %+v", asked)
		}
	}
}

func allWatched(got map[request]map[string]bool) bool {
	for _, verbs := range got {
		if !verbs["list"] || !verbs["watch"] {
			return false
		}
	}
	return true
}

// What does not sync is named, with the reason.
func TestWaitSyncedNames(t *testing.T) {
	fake := newFakeAPI(t, nil)
	fake.setKind("tunnels", "") // undecodable
	w, err := NewWatcher(fake.client(t), Config{Changed: func(Kind) {}, Prefix: derivePrefix})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 500*time.Millisecond)
	defer cancel()
	go w.Run(ctx)
	err = w.WaitSynced(ctx)
	if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "not yet known: tunnels (") {
		t.Errorf("got %v", err)
	}
}

// A kind without objects recovers as well: its list tells, no event does.
func TestStatusRecovers(t *testing.T) {
	fake := newFakeAPI(t, nil)
	fake.setKind("tunnels", "")
	w, err := NewWatcher(fake.client(t), Config{Changed: func(Kind) {}, Prefix: derivePrefix})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go w.Run(ctx)
	tunnels := func() WatchStatus {
		statuses := w.Status()
		return statuses[slices.IndexFunc(statuses, func(s WatchStatus) bool { return s.Kind == Tunnels })]
	}
	eventually(t, "the failure shows", func() bool { return tunnels().Error != nil })
	fake.setKind("tunnels", "TunnelList")
	eventually(t, "the failure is over", func() bool { s := tunnels(); return s.Synced && s.Error == nil && s.Failures > 0 })
}

func TestWatcherNeedsConfig(t *testing.T) {
	client := newFakeAPI(t, nil).client(t)
	for _, config := range []Config{{}, {Changed: func(Kind) {}}, {Prefix: derivePrefix}} {
		if _, err := NewWatcher(client, config); err == nil {
			t.Errorf("accepted %+v", config)
		}
	}
}

func TestGetPod(t *testing.T) {
	objects := cluster(t)
	fake := newFakeAPI(t, objects)
	w := fake.watcher(t, func(Kind) {})
	fake.mu.Lock()
	fake.objects = map[string][]any{"pods": fromYAML(t,
		`{kind: Pod, apiVersion: v1, metadata: {namespace: shop, name: db-0, uid: u2}, spec: {nodeName: node-1}}`,
		`{kind: Pod, apiVersion: v1, metadata: {namespace: shop, name: late, uid: u3, labels: {app: late}}, spec: {nodeName: node-1}}`,
		`{kind: Pod, apiVersion: v1, metadata: {namespace: shop, name: far, uid: u4}, spec: {nodeName: node-2}}`)}
	fake.mu.Unlock()
	for _, test := range []struct {
		name, pod, uid string
		want           string // UID
		err            error
		live           bool
	}{
		{"watched", "db-0", "u1", "u1", nil, false},
		{"replaced since", "db-0", "u2", "u2", nil, true},
		{"whichever it is now", "db-0", "", "u2", nil, true},
		{"not watched yet", "late", "u3", "u3", nil, true},
		{"another's UID", "late", "u9", "", ErrNoPod, true},
		{"gone", "nobody", "u9", "", ErrNoPod, true},
		{"on another node", "far", "u4", "", ErrNoPod, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			before := gets(fake)
			pod, err := w.GetPod(t.Context(), "shop", test.pod, test.uid)
			if !errors.Is(err, test.err) || pod.UID != test.want {
				t.Errorf("got %+v, %v", pod, err)
			}
			if live := gets(fake) > before; live != test.live {
				t.Errorf("a request: %t, want %t", live, test.live)
			}
		})
	}
	fake.answer("get pods", http.StatusInternalServerError)
	if _, err := w.GetPod(t.Context(), "shop", "late", "u3"); err == nil || errors.Is(err, ErrNoPod) {
		t.Errorf("server error reads as %v", err)
	}
}

func gets(fake *fakeAPI) int {
	count := 0
	for _, asked := range fake.seen() {
		if asked.verb == "get" {
			count++
		}
	}
	return count
}

func TestSameMeaning(t *testing.T) {
	make := func(rv, uid, label string) *item[map[string]string] {
		it := &item[map[string]string]{value: map[string]string{"a": label}}
		it.ResourceVersion = rv
		it.UID = "uid-" + "x"
		if uid != "" {
			it.UID = "uid-y"
		}
		return it
	}
	same := sameMeaning[map[string]string]
	if !same(make("1", "", "b"), make("2", "", "b")) {
		t.Error("a new resource version alone is a change")
	}
	if same(make("1", "", "b"), make("1", "", "c")) || same(make("1", "", "b"), make("1", "y", "b")) {
		t.Error("a change passes for none")
	}
}

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !holds(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within 10 s: %s", what)
		}
	}
}
