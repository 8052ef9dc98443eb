package identity

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"
)

// ErrExists is what a Store returns for a number that is taken.
var ErrExists = errors.New("identity exists")

// allocationTime bounds one allocation, whoever waits for it.
const allocationTime = 30 * time.Second

// maxVanished bounds how often one attempt is repeated because the object in
// its way had gone when it was read.
const maxVanished = 3

// Store publishes which number stands for which set, for the whole cluster.
type Store interface {
	// Create publishes a number. It wraps ErrExists if the number is taken.
	Create(ctx context.Context, id ID, set Set) error
	// Get gives what was published under a number, and whether anything was.
	Get(ctx context.Context, id ID) (Set, bool, error)
}

// Registry knows which number stands for which set, and allocates numbers for
// new sets. It is safe for concurrent use.
//
// A set can have more than one number, all in its probe sequence: the object in
// the way of an earlier one may have gone since. All of them are valid.
type Registry struct {
	store   Store
	fold    narrow
	now     func() time.Time
	flights singleflight.Group // by digest; one allocation per set at a time

	mu     sync.RWMutex // never held across a call of store
	byID   map[ID]known
	bySet  map[Digest][]known // by attempt
	lapsed map[ID]lapse
}

type known struct {
	id      ID
	attempt int
	digest  Digest
	set     Set
	since   time.Time // when it was learned
	adopted bool      // the Store was seen to have it
}

// NewRegistry makes a registry that knows nothing yet.
func NewRegistry(store Store) *Registry { return newRegistry(store, whole) }

func newRegistry(store Store, fold narrow) *Registry {
	return &Registry{
		store: store, fold: fold, now: time.Now,
		byID: map[ID]known{}, bySet: map[Digest][]known{}, lapsed: map[ID]lapse{},
	}
}

// Learn takes in one number that the Store was seen to have. It refuses a
// number that does not belong to the set (see Verify), as if the Store had lost
// it.
func (r *Registry) Learn(id ID, set Set) error { return r.enter(id, set, true) }

// enter takes in a number: one that the Store was seen to have, or that it has
// just taken from here.
func (r *Registry) enter(id ID, set Set, seen bool) error {
	attempt, err := verify(id, set, r.fold)
	r.mu.Lock()
	defer r.mu.Unlock()
	if err != nil {
		r.lose(id)
		return fmt.Errorf("refused: %w", err)
	}
	r.learn(known{id: id, attempt: attempt, digest: set.Digest(), set: set, since: r.now(), adopted: seen})
	return nil
}

func (r *Registry) learn(entry known) {
	if old, ok := r.byID[entry.id]; ok && old.digest != entry.digest {
		r.lose(entry.id)
	} else if ok {
		entry.adopted = entry.adopted || old.adopted
	}
	r.forget(entry.id)
	r.byID[entry.id] = entry
	same := append(slices.Clone(r.bySet[entry.digest]), entry)
	slices.SortFunc(same, func(a, b known) int { return cmp.Compare(a.attempt, b.attempt) })
	r.bySet[entry.digest] = same
}

func (r *Registry) forget(id ID) {
	entry, ok := r.byID[id]
	if !ok {
		return
	}
	delete(r.byID, id)
	rest := slices.DeleteFunc(slices.Clone(r.bySet[entry.digest]), func(k known) bool { return k.id == id })
	if len(rest) == 0 {
		delete(r.bySet, entry.digest)
		return
	}
	r.bySet[entry.digest] = rest
}

// Resolve gives the set's number: from memory where it is known, otherwise it
// allocates one, once for all concurrent callers. An allocation goes on when
// the caller's context ends, so that other callers get its result.
func (r *Registry) Resolve(ctx context.Context, set Set) (ID, error) {
	if err := set.Validate(); err != nil {
		return Unknown, fmt.Errorf("resolve identity: %w", err)
	}
	digest := set.Digest()
	if id, ok := r.recall(digest); ok {
		return id, nil
	}
	flight := r.flights.DoChan(string(digest[:]), func() (any, error) {
		if id, ok := r.recall(digest); ok {
			return id, nil
		}
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), allocationTime)
		defer cancel()
		return r.allocate(ctx, set)
	})
	select {
	case <-ctx.Done():
		return Unknown, fmt.Errorf("resolve identity: %w", ctx.Err())
	case result := <-flight:
		if result.Err != nil {
			return Unknown, fmt.Errorf("resolve identity: %w", result.Err)
		}
		return result.Val.(ID), nil
	}
}

func (r *Registry) recall(digest Digest) (ID, bool) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if same := r.bySet[digest]; len(same) > 0 {
		return same[0].id, true
	}
	return Unknown, false
}

// allocate walks the probe sequence up to the first number that is the set's
// own or free.
func (r *Registry) allocate(ctx context.Context, set Set) (ID, error) {
	canonical := set.Canonical()
	for attempt := range MaxAttempts {
		id := number(canonical, attempt, r.fold)
		ours, err := r.claim(ctx, id, set)
		if err != nil {
			return Unknown, err
		}
		if ours {
			return id, r.enter(id, set, false)
		}
	}
	return Unknown, fmt.Errorf("all %d numbers of the set are taken by others, from %s on",
		MaxAttempts, number(canonical, 0, r.fold))
}

// claim reports whether id now stands for set: just created, or published
// before by another node that met the same labels. A number published with
// other labels, forged ones included, is another set's.
func (r *Registry) claim(ctx context.Context, id ID, set Set) (bool, error) {
	for range maxVanished {
		err := r.store.Create(ctx, id, set)
		if err == nil {
			return true, nil
		}
		if !errors.Is(err, ErrExists) {
			return false, fmt.Errorf("create %s: %w", id, err)
		}
		published, found, err := r.store.Get(ctx, id)
		if err != nil {
			return false, fmt.Errorf("get %s: %w", id, err)
		}
		if found {
			return published.Equal(set), nil
		}
	}
	return false, fmt.Errorf("identity %s came and went %d times", id, maxVanished)
}
