package kube

import (
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/signet-cni/signet/identity"
)

// listing is the n-th node's Tunnel, which lists identities.
func listing(t *testing.T, n byte, ids ...any) *unstructured.Unstructured {
	t.Helper()
	object := encodedTunnel(t, tunnelNode(n))
	if ids == nil {
		ids = []any{}
	}
	if err := unstructured.SetNestedSlice(object.Object, ids, "spec", "identities"); err != nil {
		t.Fatal(err)
	}
	return object
}

func TestTunnelIdentities(t *testing.T) {
	parse := tunnelParser(derivePrefix)
	for _, test := range []struct {
		name   string
		object *unstructured.Unstructured
		want   []identity.ID
		listed bool
	}{
		{"not published", encodedTunnel(t, tunnelNode(1)), nil, false},
		{"none", listing(t, 1), nil, true},
		{"some", listing(t, 1, int64(4294967295), int64(256), int64(256)), []identity.ID{256, 4294967295}, true},
		{"reserved and beyond", listing(t, 1, int64(-1), int64(0), int64(3), int64(255), int64(300), int64(1<<32)), []identity.ID{300}, true},
	} {
		it := kept(t, parse, tunnelAsRead(t, test.object))
		checkProblem(t, it.problems, "")
		if !slices.Equal(it.value.identities, test.want) || it.value.listed != test.listed {
			t.Errorf("%s: %v, %t", test.name, it.value.identities, it.value.listed)
		}
	}
	many := slices.Repeat([]any{int64(300)}, maxIdentities+1)
	for problem, object := range map[string]*unstructured.Unstructured{
		"decode Tunnel": listing(t, 1, "x"), "4097, more than 4096": listing(t, 1, many...),
		"identities: 4097": verified(t, listing(t, 1), many...),
	} {
		checkProblem(t, kept(t, parse, tunnelAsRead(t, object)).problems, problem)
		it := kept(t, parseAttestation, tunnelAsRead(t, object))
		checkProblem(t, it.problems, problem)
		if it.value.listed || it.value.identities != nil || it.value.verified != nil {
			t.Errorf("%s: used all the same: %+v", problem, it.value)
		}
	}
}

// verified has the verifier say of a Tunnel what it lists truly.
func verified(t *testing.T, object *unstructured.Unstructured, ids ...any) *unstructured.Unstructured {
	t.Helper()
	if err := unstructured.SetNestedSlice(object.Object, ids, "status", "identities"); err != nil {
		t.Fatal(err)
	}
	return object
}

// Each node speaks under its own prefix, for what is verified. One that wants
// another's pod range, and with it the prefix, does not silence that.
func TestAttested(t *testing.T) {
	thief := verified(t, listing(t, 1, int64(999)), int64(999))
	thief.SetName("thief")
	first := verified(t, listing(t, 1, int64(300), int64(301)), int64(301))
	objects := cluster(t)
	objects["tunnels"] = []any{first.Object, verified(t, listing(t, 2, int64(400)), int64(400), int64(200)).Object, thief.Object}
	w := newFakeAPI(t, objects).watcher(t, func(Kind) {})
	prefix := func(n byte) netip.Prefix {
		p, err := derivePrefix(tunnelNode(n))
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	got := w.Attested()
	slices.Sort(got[prefix(1)])
	equal(t, "attested", got, map[netip.Prefix][]identity.ID{prefix(1): {301, 999}, prefix(2): {400}})
	nodes, problems := w.Nodes()
	if len(nodes) != 3 || len(problems) != 0 {
		t.Errorf("nodes %v, problems %v: conflicts are for the plan to settle", nodes, problems)
	}
	ids, listed := w.OwnIdentities()
	if !slices.Equal(ids, []identity.ID{300, 301}) || !listed {
		t.Errorf("own identities %v, %t", ids, listed)
	}
	if own := w.OwnVerified(); !slices.Equal(own, []identity.ID{301}) {
		t.Errorf("own verified %v", own)
	}
}

func TestPublishIdentities(t *testing.T) {
	fake := newFakeAPI(t, cluster(t))
	w := fake.watcher(t, func(Kind) {})
	for _, ids := range [][]identity.ID{nil, {4294967295, 256}} {
		if err := w.PublishIdentities(t.Context(), ids); err != nil {
			t.Fatal(err)
		}
	}
	equal(t, "writes", writes(fake), []string{"patch tunnels node-1", "patch tunnels node-1"})
	equal(t, "bodies", fake.sent(), []string{`{"spec":{"identities":[]}}`, `{"spec":{"identities":[256,4294967295]}}`})
	fake.answer("patch tunnels", http.StatusForbidden)
	if err := w.PublishIdentities(t.Context(), nil); err == nil {
		t.Error("a refusal is not an error")
	}
}

// Pods that come and go elsewhere do not make a node plan its tunnel anew.
func TestTunnelChanges(t *testing.T) {
	parse := keep(tunnelParser(derivePrefix))
	made := func(object *unstructured.Unstructured) any {
		t.Helper()
		it, err := parse(tunnelAsRead(t, object))
		if err != nil {
			t.Fatal(err)
		}
		return it
	}
	moved := tunnelNode(1)
	moved.Endpoint = netip.MustParseAddrPort("172.18.0.9:1")
	broken := listing(t, 1)
	unstructured.RemoveNestedField(broken.Object, "spec", "publicKey")
	before := made(listing(t, 1, int64(300)))
	for _, test := range []struct {
		name  string
		after *unstructured.Unstructured
		want  []Kind
	}{
		{"nothing", listing(t, 1, int64(300)), nil},
		{"identities", listing(t, 1, int64(301)), []Kind{Attestations}},
		{"what is verified", verified(t, listing(t, 1, int64(300)), int64(300)), []Kind{Attestations}},
		{"endpoint", encodedTunnel(t, moved), []Kind{Tunnels, Attestations}},
		{"refused", broken, []Kind{Tunnels}},
	} {
		equal(t, test.name, concerned[tunnel](Tunnels, before, made(test.after)), test.want)
	}
	var mu sync.Mutex
	var poked []Kind
	objects := cluster(t)
	newFakeAPI(t, objects).watcher(t, func(kind Kind) {
		mu.Lock()
		defer mu.Unlock()
		poked = append(poked, kind)
	})
	mu.Lock()
	defer mu.Unlock()
	if !slices.Contains(poked, Tunnels) {
		t.Errorf("poked %v", poked)
	}
}
