package main

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/signet-cni/signet/enforce/datapath"
	"github.com/signet-cni/signet/identity"
)

// fakeTunnel is this node's Tunnel object, and its endpoints in the kernel.
type fakeTunnel struct {
	ids     []identity.ID
	listed  bool
	writes  int
	err     error
	inForce map[netip.Addr]datapath.Endpoint
	at      time.Time
	mode    datapath.Attestation
	pokes   int
}

func (f *fakeTunnel) OwnIdentities() ([]identity.ID, bool) { return f.ids, f.listed }

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
		if err := a.ensure(t.Context(), ids); err != nil {
			t.Fatal(err)
		}
		if f.writes != writes || f.pokes != pokes {
			t.Errorf("%v: %d writes, %d pokes; want %d, %d", ids, f.writes, f.pokes, writes, pokes)
		}
	}
	ensure(0, 0)
	ensure(0, 1, 300)
	f.mode = datapath.Enforce
	ensure(1, 1, 300)
	ensure(1, 1, 300)
	f.ids = nil // the watch lags behind
	ensure(1, 1, 300)
	ensure(2, 1, 300, 301)
	f.err = errors.New("API server away")
	ensure(2, 1, 300)
	if err := a.ensure(t.Context(), []identity.ID{302}); !errors.Is(err, f.err) {
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
	r.attest = func(context.Context, []identity.ID) error { return refused }
	c.relabel("a", "new")
	if err := r.sync(t.Context()); !errors.Is(err, refused) || k.endpoints[ep.Addr] != roleID("old") {
		t.Errorf("%v, endpoint has %s", err, k.endpoints[ep.Addr])
	}
	if k.loads != 1 || k.extensions != 1 {
		t.Errorf("policy was loaded %d times and extended %d times", k.loads, k.extensions)
	}
	if err := r.connect(t.Context(), ep); !errors.Is(err, refused) {
		t.Errorf("connect: %v", err)
	}
}
