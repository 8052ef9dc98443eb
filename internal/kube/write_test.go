package kube

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/signet-cni/signet/identity"
)

func writes(fake *fakeAPI) []string {
	var out []string
	for _, asked := range fake.seen() {
		if asked.verb != "list" && asked.verb != "watch" && asked.verb != "get" {
			out = append(out, strings.TrimSpace(asked.verb+" "+asked.resource+" "+asked.name))
		}
	}
	return out
}

func TestPublishTunnel(t *testing.T) {
	fake := newFakeAPI(t, cluster(t))
	w := fake.watcher(t, func(Kind) {})
	prefix := netip.MustParsePrefix("fd51:c7e1:af4:100::/64")
	if err := w.PublishTunnel(t.Context(), tunnelNode(1), prefix); err != nil {
		t.Fatal(err)
	}
	equal(t, "writes of what is published already", writes(fake), []string(nil))
	moved := tunnelNode(1)
	moved.Endpoint = netip.MustParseAddrPort("172.18.0.9:51872")
	if err := w.PublishTunnel(t.Context(), moved, prefix); err != nil {
		t.Fatal(err)
	}
	equal(t, "writes of a change", writes(fake), []string{"patch tunnels node-1"})
	body := fake.sent()[0]
	for _, part := range []string{`"endpoint":"172.18.0.9:51872"`, `"prefix":"fd51:c7e1:af4:100::/64"`, `"uid":"uid-node-1"`} {
		if !strings.Contains(body, part) {
			t.Errorf("sent %s without %s", body, part)
		}
	}
	if err := w.PublishTunnel(t.Context(), tunnelNode(2), prefix); err == nil {
		t.Error("published another node's tunnel")
	}
	fake.answer("patch tunnels", http.StatusForbidden)
	if err := w.PublishTunnel(t.Context(), moved, prefix); err == nil {
		t.Error("a refusal is not an error")
	}
}

func TestWritesNeedTheNode(t *testing.T) {
	fake := newFakeAPI(t, nil)
	w := fake.watcher(t, func(Kind) {})
	if err := w.PublishTunnel(t.Context(), tunnelNode(1), netip.Prefix{}); !errors.Is(err, errNodeUnknown) {
		t.Errorf("publish: %v", err)
	}
	if err := w.SetNetworkUp(t.Context()); !errors.Is(err, errNodeUnknown) {
		t.Errorf("condition: %v", err)
	}
}

func TestSetNetworkUp(t *testing.T) {
	objects := cluster(t)
	fake := newFakeAPI(t, objects)
	w := fake.watcher(t, func(Kind) {})
	if err := w.SetNetworkUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	equal(t, "writes", writes(fake), []string{"patch nodes/status node-1"})
	body := fake.sent()[0]
	if !strings.Contains(body, `"type":"NetworkUnavailable","status":"False"`) || !strings.Contains(body, `"metadata":{"labels":{"signet-cni.io/tunnel":"published"}}`) {
		t.Errorf("sent %s", body)
	}
	objects["nodes"] = fromYAML(t, `{metadata: {name: node-1, labels: {signet-cni.io/tunnel: published}}, status: {conditions: [{type: NetworkUnavailable, status: "False", reason: SignetIsUp}]}}`)
	fake = newFakeAPI(t, objects)
	if err := fake.watcher(t, func(Kind) {}).SetNetworkUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	equal(t, "writes when told already", writes(fake), []string(nil))
}

func TestIdentityStore(t *testing.T) {
	fake := newFakeAPI(t, cluster(t))
	store := fake.client(t).IdentityStore()
	set := concertSet()
	id := identity.Number(set, 0)
	if got, found, err := store.Get(t.Context(), id); err != nil || !found || !got.Equal(set) {
		t.Errorf("get: %+v, %t, %v", got, found, err)
	}
	if _, found, err := store.Get(t.Context(), 4711); err != nil || found {
		t.Errorf("get of nothing: %t, %v", found, err)
	}
	if got, found, err := store.Get(t.Context(), 77777); err != nil || !found || got.Validate() == nil {
		t.Errorf("get of garbage: %+v, %t, %v", got, found, err)
	}
	if err := store.Create(t.Context(), id, set); err != nil {
		t.Error(err)
	}
	fake.answer("create identities", http.StatusConflict)
	if err := store.Create(t.Context(), id, set); !errors.Is(err, identity.ErrExists) {
		t.Errorf("create twice: %v", err)
	}
	fake.answer("create identities", http.StatusForbidden)
	if err := store.Create(t.Context(), id, set); err == nil || errors.Is(err, identity.ErrExists) {
		t.Errorf("create forbidden: %v", err)
	}
}

func TestReporter(t *testing.T) {
	fake := newFakeAPI(t, nil)
	reporter := NewReporter(fake.client(t))
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	reporter.now = func() time.Time { return at }
	problem := Problem{Kind: "NetworkPolicy", Namespace: "shop", Name: "bad", UID: "u", Message: "wrong"}
	report := func(want int, problems ...Problem) {
		t.Helper()
		before := len(writes(fake))
		if err := reporter.Report(t.Context(), problems); err != nil {
			t.Fatal(err)
		}
		if got := len(writes(fake)) - before; got != want {
			t.Errorf("%d events, want %d", got, want)
		}
	}
	report(1, problem)
	report(0, problem)
	at = at.Add(repeatAfter)
	report(1, problem)
	report(0)
	report(1, problem) // it was gone and came back
	report(1, problem, Problem{Kind: "Tunnel", Name: "node-2", Message: "wrong"})
	last := fake.seen()[len(fake.seen())-1]
	if last.namespace != "default" {
		t.Errorf("event of a cluster-scoped object in namespace %q", last.namespace)
	}
	for _, status := range []int{http.StatusConflict, http.StatusNotFound} {
		fake.answer("create events", status)
		report(1, Problem{Kind: "Pod", Namespace: "shop", Name: fmt.Sprint(status), Message: "wrong"})
	}
}

func TestReporterBounds(t *testing.T) {
	fake := newFakeAPI(t, nil)
	reporter := NewReporter(fake.client(t))
	var problems []Problem
	for n := range reportsPerRound + 5 {
		problems = append(problems, Problem{Kind: "Pod", Namespace: "shop", Name: fmt.Sprint(n), Message: strings.Repeat("é", maxMessage)})
	}
	if err := reporter.Report(t.Context(), problems); err == nil || len(writes(fake)) != reportsPerRound {
		t.Errorf("first round: %d events, %v", len(writes(fake)), err)
	}
	if err := reporter.Report(t.Context(), problems); err != nil || len(writes(fake)) != len(problems) {
		t.Errorf("second round: %d events, %v", len(writes(fake)), err)
	}
	fake.answer("create events", http.StatusForbidden)
	extra := Problem{Kind: "Pod", Name: "extra", Message: "wrong"}
	for range 2 { // not told, so tried again
		if err := reporter.Report(t.Context(), append(slices.Clone(problems), extra)); err == nil {
			t.Error("a refusal is not an error")
		}
	}
}

// All nodes that meet a problem name its Event alike.
func TestEventName(t *testing.T) {
	a := Problem{Kind: "Pod", Namespace: "shop", Name: strings.Repeat("a", 199) + ".b", Message: "wrong"}
	same, other := a, a
	other.Message = "wrong too"
	if eventName(a) != eventName(same) || eventName(a) == eventName(other) {
		t.Error("names do not follow from the problem")
	}
	if name := eventName(a); len(name) > 253 || strings.Contains(name, "..") {
		t.Errorf("name %q", name)
	}
}
