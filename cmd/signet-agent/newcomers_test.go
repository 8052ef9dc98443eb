package main

import (
	"errors"
	"slices"
	"testing"

	"github.com/signet-cni/signet/enforce/policy"
	"github.com/signet-cni/signet/identity"
)

// come has another node publish the identity of a role's pods.
func (c *fakeCluster) come(role string) identity.ID {
	id := roleID(role)
	c.published[id] = roleSet(role)
	c.fresh = map[identity.ID]identity.Set{id: roleSet(role)}
	return id
}

// An identity that is new in the cluster is in force without a look at the
// others; a sync finds nothing left to do.
func TestMeet(t *testing.T) {
	c := newFakeCluster()
	r, k := newTestRules(t, c)
	c.come("early")
	if whole, err := r.meet(); !whole || err != nil || k.loads != 0 {
		t.Errorf("before there is a policy: whole %t, %v", whole, err)
	}
	syncRules(t, r)
	loads := k.loads
	id := c.come("late")
	for range 2 { // the second has nothing to do
		if whole, err := r.meet(); whole || err != nil {
			t.Errorf("whole %t, %v", whole, err)
		}
	}
	if _, known := k.table.Identities[id]; !known || k.changes != 1 {
		t.Errorf("known to the kernel: %t, %d changes", known, k.changes)
	}
	syncRules(t, r)
	if k.loads != loads || k.changes != 1 {
		t.Errorf("%d loads, %d changes", k.loads, k.changes)
	}
}

// What is not of the ordinary sort is left to a sync, and opens nothing.
func TestMeetRefuses(t *testing.T) {
	c := newFakeCluster()
	r, k := newTestRules(t, c)
	syncRules(t, r)
	c.fresh = map[identity.ID]identity.Set{4242: roleSet("forged"), 7: roleSet("reserved")}
	if whole, err := r.meet(); whole || err != nil || k.changes != 0 || len(r.snapshot()) != 0 {
		t.Errorf("forged: whole %t, %v, %v", whole, err, r.snapshot())
	}
	id := c.come("moved")
	r.sets[id] = roleSet("other") // the number stood for something else
	if whole, err := r.meet(); !whole || err != nil || k.changes != 0 {
		t.Errorf("another meaning: whole %t, %v", whole, err)
	}
	delete(r.sets, id)
	c.come("moved")
	k.err = errors.New("the kernel has no memory")
	if whole, err := r.meet(); !whole || !errors.Is(err, k.err) {
		t.Errorf("whole %t, %v", whole, err)
	}
	k.err = nil
	syncRules(t, r)
	if _, known := k.table.Identities[id]; !known {
		t.Error("the sync after a failure did not catch up")
	}
}

// Where only pods have changed, nothing is compiled or compared anew; their
// numbers are in force all the same, and so is what an earlier failure left.
func TestSyncOfPodsAlone(t *testing.T) {
	c := newFakeCluster()
	ep := c.addPod("a", "old")
	r, k := newTestRules(t, c)
	syncRules(t, r)
	loads := k.loads
	c.still = true
	c.policies = []policy.Policy{{Namespace: "shop", Name: "unnoticed", IsolatesIngress: true}}
	c.relabel("a", "new")
	late := c.addPod("b", "late")
	syncRules(t, r)
	if k.endpoints[ep.Addr] != roleID("new") || k.endpoints[late.Addr] != roleID("late") {
		t.Errorf("endpoints have %v", k.endpoints)
	}
	if k.loads != loads || k.changes != 2 {
		t.Errorf("%d loads, %d changes", k.loads-loads, k.changes)
	}
	c.still, k.err = false, errors.New("the kernel has no memory")
	if err := r.sync(t.Context()); !errors.Is(err, k.err) {
		t.Errorf("got %v", err)
	}
	c.still, k.err, c.endpoints = true, nil, nil
	syncRules(t, r)
	if k.loads != loads+1 {
		t.Errorf("%d loads: what failed is not done again", k.loads-loads)
	}
}

// alter has a policy come, change or (with none) go.
func (c *fakeCluster) alter(name string, p *policy.Policy) {
	ref := policy.PolicyRef{Namespace: "shop", Name: name}
	n, found := policy.Find(c.policies, ref)
	c.policies = slices.Clone(c.policies)
	if found {
		c.policies = slices.Delete(c.policies, n, n+1)
	}
	if p != nil {
		p.Namespace, p.Name = ref.Namespace, ref.Name
		c.policies = slices.Insert(c.policies, n, *p)
	}
	c.altered = map[policy.PolicyRef]bool{ref: true}
}

// A policy that comes, changes or goes is in force without a look at the
// others; a sync finds nothing left to do.
func TestRevise(t *testing.T) {
	c := newFakeCluster()
	c.addPod("a", "web")
	r, k := newTestRules(t, c)
	c.alter("early", &policy.Policy{IsolatesEgress: true})
	if whole, err := r.revise(); !whole || err != nil || k.loads != 0 {
		t.Errorf("before there is a policy: whole %t, %v", whole, err)
	}
	syncRules(t, r)
	isolated := func() [2]bool {
		entry := k.table.Identities[roleID("web")]
		return [2]bool{entry.Ingress != policy.NotIsolated, entry.Egress != policy.NotIsolated}
	}
	for _, step := range []struct {
		what string
		p    *policy.Policy
		want [2]bool
	}{
		{"comes", &policy.Policy{IsolatesIngress: true}, [2]bool{true, true}},
		{"changes", &policy.Policy{IsolatesIngress: true, Subjects: *role("db")}, [2]bool{false, true}},
		{"goes", nil, [2]bool{false, true}},
	} {
		c.alter("late", step.p)
		before := k.changes
		for range 2 { // the second has nothing to do
			if whole, err := r.revise(); whole || err != nil {
				t.Errorf("%s: whole %t, %v", step.what, whole, err)
			}
		}
		if got := isolated(); got != step.want || k.changes != before+1 {
			t.Errorf("%s: isolated %v, want %v; %d changes", step.what, got, step.want, k.changes-before)
		}
		syncRules(t, r)
		if k.loads != 1 || k.changes != before+1 {
			t.Errorf("%s: %d loads, %d changes", step.what, k.loads, k.changes-before)
		}
	}
}

// A policy that lets another label count is left to a sync, which gives pods
// other numbers; and so is one after the kernel failed.
func TestReviseRefuses(t *testing.T) {
	c := newFakeCluster()
	c.addPod("a", "web")
	r, k := newTestRules(t, c)
	syncRules(t, r)
	job := policy.Policy{IsolatesIngress: true, Subjects: identity.Selector{
		Requirements: []identity.Requirement{{Key: "job-name", Operator: identity.Exists}},
	}}
	for _, p := range []*policy.Policy{&job, {IsolatesIngress: true}, &job, nil} {
		c.alter("job", p)
		if whole, err := r.revise(); !whole || err != nil || k.changes != 0 {
			t.Errorf("whole %t, %v, %d changes", whole, err, k.changes)
		}
		syncRules(t, r)
		k.changes = 0
	}
	c.alter("late", &policy.Policy{IsolatesIngress: true})
	k.err = errors.New("the kernel has no memory")
	if whole, err := r.revise(); !whole || !errors.Is(err, k.err) {
		t.Errorf("whole %t, %v", whole, err)
	}
	k.err = nil
	syncRules(t, r)
	if k.loads != 2 || k.table.Identities[roleID("web")].Ingress == policy.NotIsolated {
		t.Errorf("%d loads; the sync after a failure did not catch up", k.loads)
	}
}
