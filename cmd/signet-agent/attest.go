package main

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/signet-cni/signet/enforce/datapath"
	"github.com/signet-cni/signet/identity"
)

const (
	// publishInterval is the least time between two writes of the identities that
	// this node's pods have.
	publishInterval = 500 * time.Millisecond
	// gatherTime is how long the first of some new ones waits for the others,
	// where no pod waits for it: pods that start together become one write.
	gatherTime = 400 * time.Millisecond
)

// publisher is where the identities of this node's pods are published
// (kube.Watcher).
type publisher interface {
	OwnIdentities() (ids []identity.ID, listed bool)
	OwnVerified() []identity.ID
	PublishIdentities(ctx context.Context, ids []identity.ID) error
}

// attest publishes which identities this node speaks for.
type attest struct {
	publisher publisher
	mode      func() datapath.Attestation
	inForce   func() map[netip.Addr]datapath.Endpoint
	log       *slog.Logger
	flush     func(context.Context) error // publishes and waits
	poke      func()                      // publishes some time
	after     func(time.Duration, func()) // calls later
	now       func() time.Time

	mu     sync.Mutex
	waking time.Time                 // when poke is called next; past: not known
	used   map[identity.ID]time.Time // when last; kept for identity.Grace
	has    map[identity.ID]bool      // those of endpoints when it was last looked
	begun  bool                      // used has what an earlier agent published
	stated []identity.ID             // as last written
}

// ensure has ids published within a second. Where others drop what is
// not verified, it has them published when it returns, and gives those that
// the verifier has not found with this node's pods (yet).
func (a *attest) ensure(ctx context.Context, ids []identity.ID) (unverified []identity.ID, err error) {
	missing := a.use(ids)
	if a.mode() != datapath.Enforce {
		if missing {
			a.wake(gatherTime)
		}
		return nil, nil
	}
	if missing {
		if err := a.flush(ctx); err != nil {
			return nil, fmt.Errorf("publish the node's identities: %w", err)
		}
	}
	verified := a.publisher.OwnVerified()
	for _, id := range ids {
		if _, ok := slices.BinarySearch(verified, id); !ok {
			unverified = append(unverified, id)
		}
	}
	return unverified, nil
}

// use notes that endpoints have, or are about to have, ids, and reports whether
// one of them has not been published.
func (a *attest) use(ids []identity.ID) (missing bool) {
	published, _ := a.publisher.OwnIdentities()
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, id := range ids {
		a.used[id] = a.now()
		_, listed := slices.BinarySearch(published, id)
		_, stated := slices.BinarySearch(a.stated, id)
		missing = missing || !listed && !stated
	}
	return missing
}

// sync publishes the identities that packets of this node can carry, unless
// that is what is published.
func (a *attest) sync(ctx context.Context) error {
	published, listed := a.publisher.OwnIdentities()
	want, ends := a.current(published)
	if ends > 0 {
		a.wake(ends)
	}
	if listed && slices.Equal(want, published) {
		a.state(want)
		return nil
	}
	if err := a.publisher.PublishIdentities(ctx, want); err != nil {
		return err
	}
	a.log.Info("identities published", "count", len(want))
	a.state(want)
	return nil
}

// wake has the list looked at after that time, or before.
func (a *attest) wake(after time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := a.now()
	if a.waking.After(now) && !a.waking.After(now.Add(after)) {
		return
	}
	a.waking = now.Add(after)
	a.after(after, a.poke)
}

func (a *attest) state(ids []identity.ID) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.stated = ids
}

// current gives the identities of endpoints, and those that endpoints had until
// a moment ago: packets may be under way. What an earlier agent published
// counts as such. ends is after how long the first of these is no longer among
// them, 0 if there are none.
func (a *attest) current(published []identity.ID) (ids []identity.ID, ends time.Duration) {
	endpoints := a.inForce()
	a.mu.Lock()
	defer a.mu.Unlock()
	now := a.now()
	if !a.begun {
		for _, id := range published {
			a.used[id] = now
		}
		a.begun = true
	}
	for id := range a.has { // until now, or until a moment ago
		a.used[id] = now
	}
	a.has = map[identity.ID]bool{}
	for _, ep := range endpoints {
		a.used[ep.Identity], a.has[ep.Identity] = now, true
	}
	for id, at := range a.used {
		left := identity.Grace - now.Sub(at)
		if left <= 0 {
			delete(a.used, id)
			continue
		}
		ids = append(ids, id)
		if !a.has[id] && (ends == 0 || left < ends) {
			ends = left
		}
	}
	slices.Sort(ids)
	return ids, ends
}

// syncAttested puts in force for whom the nodes speak. Endpoints here may have
// waited for that.
func (l *loops) syncAttested(context.Context) error {
	if own := l.agent.watcher.OwnVerified(); !slices.Equal(own, l.verified) {
		l.verified = own
		l.rules.Poke()
	}
	mode := l.agent.cfg.settings.current().attestation
	_, err := l.agent.datapath.SetAttested(l.agent.watcher.Attested(), mode)
	return err
}
