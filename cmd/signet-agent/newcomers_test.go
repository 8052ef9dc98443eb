package main

import (
	"errors"
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
	if _, known := k.table.Identities[id]; !known || k.extensions != 1 {
		t.Errorf("known to the kernel: %t, %d extensions", known, k.extensions)
	}
	syncRules(t, r)
	if k.loads != loads || k.extensions != 1 {
		t.Errorf("%d loads, %d extensions", k.loads, k.extensions)
	}
}

// What is not of the ordinary sort is left to a sync, and opens nothing.
func TestMeetRefuses(t *testing.T) {
	c := newFakeCluster()
	r, k := newTestRules(t, c)
	syncRules(t, r)
	c.fresh = map[identity.ID]identity.Set{4242: roleSet("forged"), 7: roleSet("reserved")}
	if whole, err := r.meet(); whole || err != nil || k.extensions != 0 || len(r.snapshot()) != 0 {
		t.Errorf("forged: whole %t, %v, %v", whole, err, r.snapshot())
	}
	id := c.come("moved")
	r.sets[id] = roleSet("other") // the number stood for something else
	if whole, err := r.meet(); !whole || err != nil || k.extensions != 0 {
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
	if k.loads != loads || k.extensions != 2 {
		t.Errorf("%d loads, %d extensions", k.loads-loads, k.extensions)
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
