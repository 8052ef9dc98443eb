package main

import (
	"context"
	"reflect"
	"slices"
	"time"

	"github.com/signet-cni/signet/enforce/policy"
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
	return r.change(policy.Diff{Identities: map[identity.ID]identity.Set{id: set}})
}

// revise puts policies in force that have altered since the last call, without
// a look at all the others. whole is true if that takes a sync: no policy is in
// force yet, a label may count that did not, or more changes than what follows
// from one policy.
func (r *rules) revise() (whole bool, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	altered := r.cluster.AlteredPolicies()
	if !r.loaded {
		return true, nil
	}
	var d policy.Diff
	for ref, now := range altered {
		n, there := policy.Find(r.policies, ref)
		switch {
		case now == nil && there:
			whole = whole || r.recounts(r.policies[n])
			d.GonePolicies = append(d.GonePolicies, ref)
		case now != nil && (!there || !reflect.DeepEqual(*now, r.policies[n])):
			whole = whole || r.recounts(*now) || there && r.recounts(r.policies[n])
			d.Policies = append(d.Policies, *now)
		}
	}
	if whole {
		return true, nil
	}
	done, err := r.change(d)
	return !done, err
}

// recounts reports whether a policy names a label that does not count unless a
// policy names it.
func (r *rules) recounts(p policy.Policy) bool {
	return slices.ContainsFunc(policy.NamedKeys([]policy.Policy{p}), r.ignore().Ignores)
}

// syncNewcomers is the quick way for what most changes of identities are: one
// more of them.
func (l *loops) syncNewcomers(context.Context) error {
	return l.quickly(&l.noticed, l.agent.rules.meet)
}

// syncRevised is the quick way for what most changes of policies are: one of
// them.
func (l *loops) syncRevised(context.Context) error {
	err := l.quickly(&l.revised, l.agent.rules.revise)
	l.report.Poke()
	return err
}

// quickly does something in place of a whole sync, which follows if it has to.
func (l *loops) quickly(since *stopwatch, do func() (whole bool, err error)) error {
	noticed := since.take()
	whole, err := do()
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
