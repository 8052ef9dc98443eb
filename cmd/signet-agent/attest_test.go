package main

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/signet-cni/signet/enforce/datapath"
	"github.com/signet-cni/signet/identity"
)

// fakeTunnel is this node's Tunnel object, and its endpoints in the kernel.
type fakeTunnel struct {
	ids     []identity.ID
	listed  bool
	proved  []identity.ID // as the verifier has found
	writes  int
	err     error
	inForce map[netip.Addr]datapath.Endpoint
	at      time.Time
	mode    datapath.Attestation
	pokes   int
	later   []time.Duration // after which it is to be looked at
}

func (f *fakeTunnel) OwnIdentities() ([]identity.ID, bool) { return f.ids, f.listed }

func (f *fakeTunnel) OwnVerified() []identity.ID { return f.proved }

func (f *fakeTunnel) PublishIdentities(_ context.Context, ids []identity.ID) error {
	if f.err != nil {
		return f.err
	}
	f.writes++
	f.ids, f.listed = slices.Clone(ids), true
	return nil
}

func (f *fakeTunnel) attest() *attest {
	a := &attest{
		publisher: f, log: slog.New(slog.DiscardHandler), used: map[identity.ID]time.Time{},
		mode:    func() datapath.Attestation { return f.mode },
		inForce: func() map[netip.Addr]datapath.Endpoint { return f.inForce },
		now:     func() time.Time { return f.at },
		poke:    func() { f.pokes++ },
		after:   func(d time.Duration, do func()) { f.later = append(f.later, d); do() },
	}
	a.flush = a.sync
	return a
}

func (f *fakeTunnel) pods(ids ...identity.ID) {
	f.inForce = map[netip.Addr]datapath.Endpoint{}
	for n, id := range ids {
		f.inForce[netip.AddrFrom4([4]byte{10, 0, 0, byte(n)})] = datapath.Endpoint{Identity: id}
	}
}

func (f *fakeTunnel) expect(t *testing.T, a *attest, writes int, ids ...identity.ID) {
	t.Helper()
	if err := a.sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(f.ids, ids) || f.writes != writes || !f.listed {
		t.Errorf("%d writes, %v; want %d, %v", f.writes, f.ids, writes, ids)
	}
}

// Identities are published while endpoints have them and a while after, and
// what is published already is not written again.
func TestAttestPublishes(t *testing.T) {
	f := &fakeTunnel{at: time.Unix(1000, 0)}
	a := f.attest()
	f.expect(t, a, 1)
	f.expect(t, a, 1)
	f.pods(300, 301, 300)
	f.expect(t, a, 2, 300, 301)
	f.pods(301)
	f.expect(t, a, 2, 300, 301)
	f.at = f.at.Add(identity.Grace - time.Second)
	f.expect(t, a, 2, 300, 301)
	f.at = f.at.Add(time.Second)
	f.expect(t, a, 3, 301)
	f.ids = []identity.ID{999} // by hand
	f.expect(t, a, 4, 301)
}

// The list is looked at again when an identity's time is up, not only when
// something happens; and identities that are new come together in one look.
func TestAttestWakes(t *testing.T) {
	f := &fakeTunnel{at: time.Unix(1000, 0)}
	a := f.attest()
	look := func(what string, want ...time.Duration) {
		t.Helper()
		if err := a.sync(t.Context()); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(f.later, want) {
			t.Errorf("%s: looks after %v, want %v", what, f.later, want)
		}
		f.later = nil
	}
	f.pods(300, 301)
	look("nothing ends")
	f.at = f.at.Add(10 * time.Second)
	f.pods(300)
	look("a pod has gone, a moment ago at the earliest", identity.Grace)
	f.at = f.at.Add(time.Second)
	look("that is known")
	for _, id := range []identity.ID{400, 401, 402} {
		if _, err := a.ensure(t.Context(), []identity.ID{id}); err != nil {
			t.Fatal(err)
		}
	}
	look("three are new", gatherTime)
	f.at = f.at.Add(identity.Grace)
	look("that time has come")
}

// A new agent takes nothing back that packets under way may carry.
func TestAttestAfterRestart(t *testing.T) {
	f := &fakeTunnel{at: time.Unix(1000, 0), ids: []identity.ID{300}, listed: true}
	f.pods(301)
	a := f.attest()
	f.expect(t, a, 1, 300, 301)
	f.at = f.at.Add(identity.Grace)
	f.expect(t, a, 2, 301)
}

func TestAttestEnsure(t *testing.T) {
	f := &fakeTunnel{at: time.Unix(1000, 0)}
	a := f.attest()
	ensure := func(writes, pokes int, ids ...identity.ID) {
		t.Helper()
		unverified, err := a.ensure(t.Context(), ids)
		if err != nil {
			t.Fatal(err)
		}
		var want []identity.ID
		for _, id := range ids {
			if f.mode == datapath.Enforce && !slices.Contains(f.proved, id) {
				want = append(want, id)
			}
		}
		if f.writes != writes || f.pokes != pokes || !slices.Equal(unverified, want) {
			t.Errorf("%v: %d writes, %d pokes, unverified %v; want %d, %d, %v", ids, f.writes, f.pokes, unverified, writes, pokes, want)
		}
	}
	ensure(0, 0)
	ensure(0, 1, 300)
	f.mode = datapath.Enforce
	ensure(1, 1, 300)
	ensure(1, 1, 300)
	f.proved = []identity.ID{300}
	f.ids = nil // the watch lags behind
	ensure(1, 1, 300)
	ensure(2, 1, 300, 301)
	f.err = errors.New("API server away")
	ensure(2, 1, 300)
	if _, err := a.ensure(t.Context(), []identity.ID{302}); !errors.Is(err, f.err) {
		t.Errorf("error %v", err)
	}
}

// Where an identity cannot be published, endpoints keep what they have, and
// policy goes on.
func TestUnpublishedIdentityIsNotUsed(t *testing.T) {
	c := newFakeCluster()
	ep := c.addPod("a", "old")
	r, k := newTestRules(t, c)
	syncRules(t, r)
	refused := errors.New("no")
	r.attest = func(context.Context, []identity.ID) ([]identity.ID, error) { return nil, refused }
	c.relabel("a", "new")
	if err := r.sync(t.Context()); !errors.Is(err, refused) || k.endpoints[ep.Addr] != roleID("old") {
		t.Errorf("%v, endpoint has %s", err, k.endpoints[ep.Addr])
	}
	if k.loads != 1 || k.changes != 1 {
		t.Errorf("policy was loaded %d times and changed %d times", k.loads, k.changes)
	}
	if err := r.connect(t.Context(), ep); !errors.Is(err, refused) {
		t.Errorf("connect: %v", err)
	}
}

// Where other nodes would drop what is not verified, endpoints keep what they
// have until it is, without anything being wrong with the rest; a new endpoint
// waits.
func TestUnverifiedIdentityIsNotUsed(t *testing.T) {
	c := newFakeCluster()
	moving, staying := c.addPod("a", "old"), c.addPod("b", "other")
	r, k := newTestRules(t, c)
	syncRules(t, r)
	var unverified []identity.ID
	r.attest = func(_ context.Context, ids []identity.ID) ([]identity.ID, error) {
		return slices.DeleteFunc(slices.Clone(ids), func(id identity.ID) bool { return !slices.Contains(unverified, id) }), nil
	}
	unverified = []identity.ID{roleID("new")}
	c.relabel("a", "new")
	c.relabel("b", "another")
	syncRules(t, r)
	if k.endpoints[moving.Addr] != roleID("old") || k.endpoints[staying.Addr] != roleID("another") {
		t.Errorf("endpoints have %v", k.endpoints)
	}
	if told := r.unverified(); !strings.Contains(told, roleID("new").String()) || !strings.Contains(told, "signet-verifier") {
		t.Errorf("told: %q", told)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := r.connect(ctx, moving); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("connect: %v", err)
	}
	unverified = nil
	syncRules(t, r)
	if k.endpoints[moving.Addr] != roleID("new") || r.unverified() != "" {
		t.Errorf("endpoint has %s; told: %q", k.endpoints[moving.Addr], r.unverified())
	}
}
