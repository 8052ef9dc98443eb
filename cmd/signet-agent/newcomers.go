package main

import (
	"context"
	"time"

	"github.com/signet-cni/signet/identity"
)

// meet puts identities in force that the cluster has published since the last
// call or sync, without a look at all the others. whole is true if that takes
// a sync.
func (r *rules) meet() (whole bool, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for id, set := range r.cluster.NewIdentities() {
		if r.registry.Learn(id, set) != nil {
			continue // it stands for nothing; the watcher knows the problem
		}
		known, err := r.admit(id)
		if err != nil {
			return true, err
		}
		whole = whole || !known
	}
	return whole, nil
}

// admit lets the policy in force know an identity of the registry's. known is
// false if that takes a sync: no policy is in force yet, the number stands for
// something else than it did, or it shares a hash with what is there. r.mu is
// held.
func (r *rules) admit(id identity.ID) (known bool, err error) {
	set, ok := r.registry.Lookup(id)
	if !r.loaded || !ok {
		return false, nil
	}
	if old, there := r.sets[id]; there {
		return old.Equal(set), nil
	}
	return r.extend(map[identity.ID]identity.Set{id: set})
}

// syncNewcomers is the quick way for what most changes of identities are: one
// more of them.
func (l *loops) syncNewcomers(context.Context) error {
	noticed := l.noticed.take()
	whole, err := l.agent.rules.meet()
	switch {
	case err != nil || whole:
		l.stale.Store(true)
		l.agent.propagation.begin(noticed)
		l.rules.Poke()
	case !noticed.IsZero():
		l.agent.metrics.Propagated(time.Since(noticed))
	}
	return err
}
