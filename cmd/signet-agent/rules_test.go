package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/signet-cni/signet/cni"
	"github.com/signet-cni/signet/enforce/datapath"
	"github.com/signet-cni/signet/enforce/policy"
	"github.com/signet-cni/signet/identity"
	"github.com/signet-cni/signet/internal/kube"
)

// fakeCluster is an API server, a node's view of it, and its endpoints.
type fakeCluster struct {
	mu         sync.Mutex
	pods       map[string]kube.Pod // by name
	endpoints  []cni.Endpoint
	policies   []policy.Policy
	namespaces map[string]map[string]string
	published  map[identity.ID]identity.Set
	forged     map[identity.ID]identity.Set // not in what the watch gives
	altered    map[policy.PolicyRef]bool    // not told yet
	creates    int
	fresh      map[identity.ID]identity.Set // not given as new yet
	still      bool                         // but for pods, nothing changes
	audit      audit
	hold       chan struct{} // if not nil, Create waits for it to close
}

func newFakeCluster() *fakeCluster {
	return &fakeCluster{
		pods: map[string]kube.Pod{}, namespaces: map[string]map[string]string{"shop": {}},
		published: map[identity.ID]identity.Set{}, forged: map[identity.ID]identity.Set{},
	}
}

func (c *fakeCluster) Policies() ([]policy.Policy, []kube.Problem) {
	return slices.Clone(c.policies), nil
}

func (c *fakeCluster) Identities() (map[identity.ID]identity.Set, []kube.Problem) {
	c.mu.Lock()
	defer c.mu.Unlock()
	sets := map[identity.ID]identity.Set{}
	for id, set := range c.published {
		sets[id] = set
	}
	return sets, nil
}

func (c *fakeCluster) NewIdentities() map[identity.ID]identity.Set {
	c.mu.Lock()
	defer c.mu.Unlock()
	fresh := c.fresh
	c.fresh = nil
	return fresh
}

func (c *fakeCluster) AlteredPolicies() map[policy.PolicyRef]*policy.Policy {
	told := map[policy.PolicyRef]*policy.Policy{}
	for ref := range c.altered {
		told[ref] = nil
		if n, found := policy.Find(c.policies, ref); found {
			told[ref] = &c.policies[n]
		}
	}
	c.altered = nil
	return told
}

func (c *fakeCluster) Namespaces() map[string]map[string]string { return c.namespaces }

func (c *fakeCluster) LocalPods() []kube.Pod {
	var pods []kube.Pod
	for _, pod := range c.pods {
		pods = append(pods, pod)
	}
	return pods
}

func (c *fakeCluster) GetPod(_ context.Context, _, name, _ string) (kube.Pod, error) {
	if pod, ok := c.pods[name]; ok {
		return pod, nil
	}
	return kube.Pod{}, kube.ErrNoPod
}

func (c *fakeCluster) Create(_ context.Context, id identity.ID, set identity.Set) error {
	if c.hold != nil {
		<-c.hold
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.creates++
	if _, forged := c.forged[id]; forged || !c.published[id].Equal(identity.Set{}) {
		return identity.ErrExists
	}
	c.published[id] = set
	return nil
}

func (c *fakeCluster) Get(_ context.Context, id identity.ID) (identity.Set, bool, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if set, ok := c.forged[id]; ok {
		return set, true, nil
	}
	set, ok := c.published[id]
	return set, ok, nil
}

// addPod makes a pod with one label, and its endpoint.
func (c *fakeCluster) addPod(name, role string) cni.Endpoint {
	c.pods[name] = kube.Pod{Namespace: "shop", Name: name, UID: "uid-" + name, Labels: map[string]string{"role": role}}
	ep := cni.Endpoint{
		Namespace: "shop", Pod: name, PodUID: "uid-" + name, HostIfName: "veth-" + name, HostIfIndex: 100 + len(c.endpoints),
		Addr: netip.AddrFrom4([4]byte{10, 244, 1, byte(10 + len(c.endpoints))}),
	}
	c.endpoints = append(c.endpoints, ep)
	return ep
}

func (c *fakeCluster) relabel(name, role string) {
	pod := c.pods[name]
	pod.Labels = map[string]string{"role": role}
	c.pods[name] = pod
}

// fakeKernel knows what is in force and refuses an endpoint whose identity the
// policy in force does not know.
type fakeKernel struct {
	table     policy.Table
	endpoints map[netip.Addr]identity.ID
	loads     int
	changes   int // of the policy that was loaded last
	err       error
}

func (k *fakeKernel) SetPolicy(t *policy.Table) (bool, error) {
	if k.err != nil {
		return false, k.err
	}
	k.loads++
	k.table = policy.Table{Identities: maps.Clone(t.Identities)}
	return true, nil
}

func (k *fakeKernel) ChangePolicy(delta *policy.Delta) error {
	if k.err != nil {
		return k.err
	}
	k.changes++
	maps.Copy(k.table.Identities, delta.Put.Identities)
	for id := range delta.Gone.Identities {
		delete(k.table.Identities, id)
	}
	return nil
}

func (k *fakeKernel) SetEndpoint(ep datapath.Endpoint) error {
	if _, known := k.table.Identities[ep.Identity]; !known {
		return fmt.Errorf("endpoint %s gets %s before the policy knows it", ep.Addr, ep.Identity)
	}
	k.endpoints[ep.Addr] = ep.Identity
	return nil
}

func (k *fakeKernel) DeleteEndpoint(addr netip.Addr) error {
	delete(k.endpoints, addr)
	return nil
}

func newTestRules(t *testing.T, c *fakeCluster) (*rules, *fakeKernel) {
	t.Helper()
	k := &fakeKernel{endpoints: map[netip.Addr]identity.ID{}}
	return newRules(rulesConfig{
		cluster: c, kernel: k, registry: identity.NewRegistry(c), ignore: identity.DefaultIgnore,
		endpoints: func() []cni.Endpoint { return c.endpoints }, log: slog.New(slog.DiscardHandler),
		attest:     func(context.Context, []identity.ID) ([]identity.ID, error) { return nil, nil },
		changed:    func() bool { return !c.still },
		compiledIn: func(time.Duration) {}, dropped: func([]policy.PolicyRef) {}, audit: func() audit { return c.audit },
	}), k
}

func roleSet(role string) identity.Set {
	return identity.NewSet("shop", nil, map[string]string{"role": role}, identity.DefaultIgnore())
}

func roleID(role string) identity.ID { return identity.Number(roleSet(role), 0) }

func syncRules(t *testing.T, r *rules) {
	t.Helper()
	if err := r.sync(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// A pod whose label changes takes another number, which the policy knows
// before; the old one stays known.
func TestRelabelledPod(t *testing.T) {
	c := newFakeCluster()
	ep := c.addPod("a", "old")
	r, k := newTestRules(t, c)
	syncRules(t, r)
	if k.endpoints[ep.Addr] != roleID("old") {
		t.Fatalf("endpoint has %s", k.endpoints[ep.Addr])
	}
	c.relabel("a", "new")
	syncRules(t, r)
	if k.endpoints[ep.Addr] != roleID("new") {
		t.Errorf("endpoint has %s, want %s", k.endpoints[ep.Addr], roleID("new"))
	}
	if _, known := k.table.Identities[roleID("old")]; !known {
		t.Error("packets under the old number are not known any more")
	}
	c.namespaces = map[string]map[string]string{"shop": {"env": "prod"}}
	syncRules(t, r)
	moved := identity.Number(identity.NewSet("shop", c.namespaces["shop"], c.pods["a"].Labels, identity.DefaultIgnore()), 0)
	if k.endpoints[ep.Addr] != moved {
		t.Errorf("endpoint has %s, want %s", k.endpoints[ep.Addr], moved)
	}
}

// An Identity that somebody deletes is published again by who needs it, and is
// never unknown in between.
func TestDeletedIdentity(t *testing.T) {
	c := newFakeCluster()
	ep := c.addPod("a", "web")
	r, k := newTestRules(t, c)
	c.published[roleID("far")] = roleSet("far")
	syncRules(t, r)
	syncRules(t, r)
	clear(c.published)
	syncRules(t, r)
	if c.creates != 2 || !c.published[roleID("web")].Equal(roleSet("web")) {
		t.Errorf("not published again: %d writes, %v", c.creates, c.published)
	}
	if k.endpoints[ep.Addr] != roleID("web") {
		t.Errorf("endpoint has %s", k.endpoints[ep.Addr])
	}
	for _, role := range []string{"web", "far"} {
		if _, known := k.table.Identities[roleID(role)]; !known {
			t.Errorf("packets of %s are not known any more", role)
		}
	}
}

// An Identity whose labels were changed by hand, which the watch refuses, moves
// its pods to the next number. No number stands for the changed labels.
func TestEditedIdentity(t *testing.T) {
	c := newFakeCluster()
	ep := c.addPod("a", "web")
	r, k := newTestRules(t, c)
	syncRules(t, r)
	syncRules(t, r)
	c.forged[roleID("web")] = roleSet("admin")
	delete(c.published, roleID("web"))
	syncRules(t, r)
	if want := identity.Number(roleSet("web"), 1); k.endpoints[ep.Addr] != want {
		t.Errorf("endpoint has %s, want %s", k.endpoints[ep.Addr], want)
	}
	for id, set := range r.snapshot() {
		if set.Equal(roleSet("admin")) {
			t.Errorf("%s stands for the forged labels", id)
		}
	}
}

func TestDepartedEndpointStaysAway(t *testing.T) {
	c := newFakeCluster()
	ep := c.addPod("a", "web")
	r, k := newTestRules(t, c)
	syncRules(t, r)
	members, err := r.identify(t.Context(), r.look())
	if err != nil {
		t.Fatal(err)
	}
	c.endpoints = nil
	if err := r.disconnect(ep); err != nil {
		t.Fatal(err)
	}
	if err := r.apply(members); err != nil || len(k.endpoints) != 0 {
		t.Errorf("%v, endpoints %v", err, k.endpoints)
	}
}

func TestNothingNewIsNotLoaded(t *testing.T) {
	c := newFakeCluster()
	c.addPod("a", "web")
	r, k := newTestRules(t, c)
	for range 3 {
		syncRules(t, r)
	}
	if k.loads != 1 {
		t.Errorf("loaded %d times", k.loads)
	}
	k.err = errors.New("map full")
	c.addPod("b", "db")
	if err := r.sync(t.Context()); !errors.Is(err, k.err) {
		t.Errorf("error %v", err)
	}
	k.err = nil
	syncRules(t, r)
	if k.loads != 2 || len(k.endpoints) != 2 {
		t.Errorf("loaded %d times, endpoints %v", k.loads, k.endpoints)
	}
}

// What is new changes the policy in force; nothing is compiled anew for it.
func TestChangesInForce(t *testing.T) {
	c := newFakeCluster()
	c.addPod("a", "web")
	r, k := newTestRules(t, c)
	expect := func(what string, changes int) {
		t.Helper()
		syncRules(t, r)
		if k.loads != 1 || k.changes != changes {
			t.Errorf("%s: loaded %d times, changed %d times; want 1, %d", what, k.loads, k.changes, changes)
		}
	}
	expect("first", 0)
	c.published[roleID("far")] = roleSet("far")
	expect("another node's", 1)
	c.addPod("b", "db")
	expect("one here", 2)
	expect("nothing", 2)
	c.policies = []policy.Policy{{Namespace: "shop", Name: "closed", IsolatesIngress: true}}
	c.published[roleID("more")] = roleSet("more")
	expect("with a policy", 3)
	if k.table.Identities[roleID("more")].Ingress == policy.NotIsolated {
		t.Error("the policy is not in force")
	}
	c.addPod("d", "late")
	expect("isolated", 4)
	if k.table.Identities[roleID("late")].Ingress == policy.NotIsolated {
		t.Error("the policy does not hold for the new identity")
	}
}

// A slow API server holds up those pods alone whose labels are new.
func TestKnownPodDoesNotWaitForNewOnes(t *testing.T) {
	c := newFakeCluster()
	c.addPod("a", "web")
	r, k := newTestRules(t, c)
	syncRules(t, r)
	c.addPod("b", "new")
	ep := c.addPod("c", "web")
	hold := make(chan struct{})
	c.hold = hold
	done := make(chan error)
	go func() { done <- r.sync(t.Context()) }()
	time.Sleep(10 * time.Millisecond)
	connected := make(chan error)
	go func() { connected <- r.connect(t.Context(), ep) }()
	select {
	case err := <-connected:
		if err != nil || k.endpoints[ep.Addr] != roleID("web") {
			t.Errorf("%v, endpoint has %s", err, k.endpoints[ep.Addr])
		}
	case <-time.After(5 * time.Second):
		t.Error("waits")
	}
	close(hold)
	if err := <-done; err != nil {
		t.Error(err)
	}
}
