package kube

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/signet-cni/signet/identity"
)

const collectGrace = 10 * time.Minute

// webSet is the set of the pods that yard has.
func webSet() identity.Set {
	return identity.NewSet("shop", map[string]string{"team": "a"}, map[string]string{"app": "web"}, identity.DefaultIgnore())
}

// yard is a cluster with two identities, of which Tunnels list the second.
type yard struct {
	t       *testing.T
	fake    *fakeAPI
	c       *Collector
	at      time.Time
	unused  identity.ID
	used    identity.ID
	deleted []identity.ID
}

func newYard(t *testing.T) *yard {
	t.Helper()
	other := identity.NewSet("shop", map[string]string{"team": "a"}, map[string]string{"app": "db"}, identity.DefaultIgnore())
	y := &yard{t: t, at: time.Unix(1000, 0), unused: identity.Number(webSet(), 0), used: identity.Number(other, 0)}
	y.fake = newFakeAPI(t, map[string][]any{
		"namespaces": fromYAML(t, `{kind: Namespace, apiVersion: v1, metadata: {name: shop, labels: {team: a}}}`),
		"tunnels":    {listing(t, 1, int64(y.used)).Object, listing(t, 2).Object},
		"identities": {storedIdentity(t, webSet(), "u1", "7"), storedIdentity(t, other, "u2", "8")},
	})
	y.restart()
	return y
}

// restart makes another agent the collector.
func (y *yard) restart() {
	y.c = y.fake.watcher(y.t, func(Kind) {}).NewCollector()
	y.c.now = func() time.Time { return y.at }
}

func storedIdentity(t *testing.T, set identity.Set, uid, version string) map[string]any {
	t.Helper()
	object, err := encodeIdentity(identity.Number(set, 0), set)
	if err != nil {
		t.Fatal(err)
	}
	object.Object["metadata"] = map[string]any{
		"name": identity.Number(set, 0).String(), "uid": uid, "resourceVersion": version,
	}
	return object.Object
}

// set changes what the API server has; the watch does not notice.
func (y *yard) set(resource string, objects ...any) {
	y.fake.mu.Lock()
	defer y.fake.mu.Unlock()
	changed := map[string][]any{}
	for name, list := range y.fake.objects {
		changed[name] = list
	}
	changed[resource] = objects
	y.fake.objects = changed
}

func (y *yard) collect(after time.Duration, want ...identity.ID) error {
	y.t.Helper()
	y.at = y.at.Add(after)
	got, err := y.c.Collect(y.t.Context(), collectGrace)
	if !slices.Equal(got, want) {
		y.t.Errorf("collected %v, want %v (%v)", got, want, err)
	}
	return err
}

func (y *yard) must(err error) {
	y.t.Helper()
	if err != nil {
		y.t.Fatal(err)
	}
}

func TestCollect(t *testing.T) {
	y := newYard(t)
	y.must(y.collect(0))
	y.must(y.collect(collectGrace - time.Second))
	y.must(y.collect(time.Second, y.unused))
	equal(t, "writes", writes(y.fake), []string{"delete identities " + y.unused.String()})
	body := y.fake.sent()[0]
	for _, part := range []string{`"uid":"u1"`, `"resourceVersion":"7"`} {
		if !strings.Contains(body, part) {
			t.Errorf("deleted without %s: %s", part, body)
		}
	}
}

// A new leader grants every identity the whole grace time.
func TestCollectAfterLeaderChange(t *testing.T) {
	y := newYard(t)
	y.must(y.collect(0))
	y.must(y.collect(collectGrace - time.Second))
	y.restart()
	y.must(y.collect(time.Second))
	y.must(y.collect(collectGrace - time.Second))
	y.must(y.collect(time.Second, y.unused))
}

// What the API server says counts, not what the watch last showed.
func TestCollectWithAStaleCache(t *testing.T) {
	pod := func(extra string) []any {
		return fromYAML(t, `{kind: Pod, apiVersion: v1, metadata: {namespace: shop, name: w, labels: {app: web}}`+extra+`}`)
	}
	for _, test := range []struct {
		name   string
		change func(y *yard)
		gone   bool
	}{
		{"a Tunnel lists it", func(y *yard) { y.set("tunnels", listing(t, 2, int64(y.unused)).Object) }, false},
		{"a Tunnel that lists nothing has come", func(y *yard) { y.set("tunnels", encodedTunnel(t, tunnelNode(3)).Object) }, false},
		{"a Tunnel is broken", func(y *yard) { y.set("tunnels", listing(t, 2, "x").Object) }, false},
		{"a pod has its labels", func(y *yard) { y.set("pods", pod("")...) }, false},
		{"a pod that has ended has them", func(y *yard) { y.set("pods", pod(", status: {phase: Succeeded}")...) }, true},
		{"a pod of the host's network has them", func(y *yard) { y.set("pods", pod(", spec: {hostNetwork: true}")...) }, true},
		{"it was made anew", func(y *yard) { y.set("identities", storedIdentity(t, webSet(), "u9", "9")) }, false},
		{"it is gone", func(y *yard) { y.set("identities") }, false},
		{"its namespace is gone", func(y *yard) { y.set("namespaces"); y.set("pods", pod("")...) }, true},
		{"its namespace has other labels", func(y *yard) {
			y.set("namespaces", fromYAML(t, `{kind: Namespace, apiVersion: v1, metadata: {name: shop, labels: {team: b}}}`)...)
			y.set("pods", pod("")...)
		}, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			y := newYard(t)
			y.must(y.collect(0))
			test.change(y)
			y.at = y.at.Add(collectGrace)
			got, err := y.c.Collect(t.Context(), collectGrace)
			if err != nil && !errors.Is(err, errUnlisted) {
				t.Error(err)
			}
			if slices.Contains(got, y.unused) != test.gone || len(writes(y.fake)) != len(got) {
				t.Errorf("collected %v, writes %v", got, writes(y.fake))
			}
		})
	}
}

// As long as one node does not say what its pods have, nothing is unused.
func TestCollectHoldsForUnlisted(t *testing.T) {
	broken := listing(t, 2)
	unstructured.RemoveNestedField(broken.Object, "spec", "publicKey")
	for name, object := range map[string]*unstructured.Unstructured{
		"an older version": encodedTunnel(t, tunnelNode(2)), "unusable": broken,
	} {
		y := newYard(t)
		y.set("tunnels", listing(t, 1).Object, object.Object)
		y.restart()
		for range 2 {
			if err := y.collect(collectGrace); !errors.Is(err, errUnlisted) || !strings.Contains(err.Error(), "node-2") {
				t.Errorf("%s: error %v", name, err)
			}
		}
	}
}

func TestCollectErrors(t *testing.T) {
	y := newYard(t)
	y.must(y.collect(0))
	y.fake.answer("delete identities", http.StatusForbidden)
	if err := y.collect(collectGrace); err == nil || !strings.Contains(err.Error(), y.unused.String()) {
		t.Errorf("error %v", err)
	}
	y.fake.answer("delete identities", http.StatusConflict)
	y.must(y.collect(time.Second))
	y.fake.answer("delete identities", 0)
	y.must(y.collect(time.Second, y.unused))
}
