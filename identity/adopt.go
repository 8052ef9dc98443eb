package identity

import (
	"errors"
	"fmt"
	"maps"
	"time"
)

const (
	// Grace is how long a number that the Store has lost stays known, so that
	// packets under way are judged by what it stood for when they were sent.
	Grace = time.Minute
	// confirmTime is how long an allocated number may be missing from what is
	// adopted: the watch may lag behind.
	confirmTime = 30 * time.Second
)

// lapse is what a number stood for until the Store lost it.
type lapse struct {
	digest Digest
	set    Set
	until  time.Time
}

// Adopt makes the registry know what the Store has, no less and no more.
// Numbers that do not belong to their set are refused (see Verify); the error
// joins one for each. A number that the Store no longer has is never given out
// again, but stays known for Grace. What was allocated here a moment ago stays
// too.
func (r *Registry) Adopt(published map[ID]Set) error {
	var errs []error
	for id, set := range published {
		if r.confirm(id, set) {
			continue
		}
		if err := r.Learn(id, set); err != nil {
			errs = append(errs, fmt.Errorf("identity %s: %w", id, err))
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.now()
	for id, entry := range r.byID {
		if _, ok := published[id]; ok || !entry.adopted && now.Sub(entry.since) < confirmTime {
			continue
		}
		r.lose(id)
	}
	maps.DeleteFunc(r.lapsed, func(_ ID, l lapse) bool { return !now.Before(l.until) })
	return errors.Join(errs...)
}

// confirm notes that the Store has what is known already.
func (r *Registry) confirm(id ID, set Set) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	entry, ok := r.byID[id]
	if !ok || !entry.set.Equal(set) {
		return false
	}
	entry.adopted = true
	r.byID[id] = entry
	return true
}

// lose gives a number up, but keeps for a while what it stood for.
func (r *Registry) lose(id ID) {
	if entry, ok := r.byID[id]; ok {
		r.lapsed[id] = lapse{digest: entry.digest, set: entry.set, until: r.now().Add(Grace)}
		r.forget(id)
	}
}

// Lookup gives the set that a number stands for; see All.
func (r *Registry) Lookup(id ID) (Set, bool) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.meaning(id)
}

// All gives every number with the set that it stands for, in a map of the
// caller's own: those that the Store has, and those that it had until not
// longer ago than Grace. A number that passed from one set to another within
// that time stands for neither: packets of both may be under way.
func (r *Registry) All() map[ID]Set {
	r.mu.RLock()
	defer r.mu.RUnlock()
	all := make(map[ID]Set, len(r.byID)+len(r.lapsed))
	for id := range r.byID {
		if set, ok := r.meaning(id); ok {
			all[id] = set
		}
	}
	for id := range r.lapsed {
		if set, ok := r.meaning(id); ok {
			all[id] = set
		}
	}
	return all
}

func (r *Registry) meaning(id ID) (Set, bool) {
	entry, here := r.byID[id]
	was, lapsed := r.lapsed[id]
	lapsed = lapsed && r.now().Before(was.until)
	switch {
	case here && lapsed && was.digest != entry.digest:
		return Set{}, false
	case here:
		return entry.set, true
	case lapsed:
		return was.set, true
	}
	return Set{}, false
}
