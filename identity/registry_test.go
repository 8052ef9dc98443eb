package identity

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
)

// memory is a Store for one cluster, with hooks to misbehave.
type memory struct {
	mu          sync.Mutex
	sets        map[ID]Set
	creates     int
	beforeGet   func(m *memory, id ID)
	afterCreate func() // if not nil, called when the set is there
	createErr   error
	hold        chan struct{} // if not nil, Create waits for it to close
}

func newMemory() *memory { return &memory{sets: map[ID]Set{}} }

func (m *memory) Create(ctx context.Context, id ID, set Set) error {
	if m.hold != nil {
		select {
		case <-m.hold:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.creates++
	if m.createErr != nil {
		return m.createErr
	}
	if _, taken := m.sets[id]; taken {
		return fmt.Errorf("object %s: %w", id, ErrExists)
	}
	m.sets[id] = set
	if m.afterCreate != nil {
		m.afterCreate()
	}
	return nil
}

func (m *memory) Get(_ context.Context, id ID) (Set, bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.beforeGet != nil {
		m.beforeGet(m, id)
	}
	set, ok := m.sets[id]
	return set, ok, nil
}

func resolve(t *testing.T, r *Registry, set Set) ID {
	t.Helper()
	id, err := r.Resolve(t.Context(), set)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func TestResolve(t *testing.T) {
	store := newMemory()
	first, second := NewRegistry(store), NewRegistry(store)
	set := testSet(1)
	id := resolve(t, first, set)
	if id != Number(set, 0) || resolve(t, second, set) != id {
		t.Errorf("two nodes disagree, or on %s instead of %s", id, Number(set, 0))
	}
	creates := store.creates
	if resolve(t, first, set); store.creates != creates {
		t.Error("a known set was written again")
	}
	if got, ok := first.Lookup(id); !ok || !got.Equal(set) || len(first.All()) != 1 {
		t.Errorf("lookup of %s: %+v, %v", id, got, ok)
	}
	third := NewRegistry(store)
	if err := third.Learn(id, set); err != nil {
		t.Fatal(err)
	}
	if resolve(t, third, set); store.creates != creates {
		t.Error("a learned set was written again")
	}
}

// With numbers narrowed to a few, sets collide: each gets a number of its own,
// the same on every node, whatever the order.
func TestCollisions(t *testing.T) {
	fewNumbers := func(bits uint32) ID { return ID(256 + bits%40) }
	store := newMemory()
	one, two := newRegistry(store, fewNumbers), newRegistry(store, fewNumbers)
	owners := map[ID]int{}
	for n := range 12 {
		id := resolve(t, one, testSet(n))
		if owner, taken := owners[id]; taken {
			t.Fatalf("sets %d and %d share %s", owner, n, id)
		}
		owners[id] = n
	}
	for n := 11; n >= 0; n-- {
		if id := resolve(t, two, testSet(n)); owners[id] != n {
			t.Errorf("the other node takes %s for set %d, but it is set %d", id, n, owners[id])
		}
	}
}

func TestProbeSequenceIsBounded(t *testing.T) {
	always := func(uint32) ID { return 256 }
	r := newRegistry(newMemory(), always)
	resolve(t, r, testSet(1))
	if _, err := r.Resolve(t.Context(), testSet(2)); err == nil || !strings.Contains(err.Error(), "taken by others") {
		t.Errorf("error %v", err)
	}
}

// An object that was forged in the way of a number is not used, by no one.
func TestForged(t *testing.T) {
	store := newMemory()
	set, forged := testSet(1), testSet(2)
	store.sets[Number(set, 0)] = forged
	r := NewRegistry(store)
	if err := r.Learn(Number(set, 0), forged); err == nil {
		t.Error("a forged object was learned")
	}
	if id := resolve(t, r, set); id != Number(set, 1) {
		t.Errorf("resolved to %s, want the next number %s", id, Number(set, 1))
	}
}

func TestObjectVanishes(t *testing.T) {
	store := newMemory()
	set := testSet(1)
	store.sets[Number(set, 0)] = set
	gone := 0
	store.beforeGet = func(m *memory, id ID) { delete(m.sets, id); gone++ }
	if id := resolve(t, NewRegistry(store), set); id != Number(set, 0) || gone != 1 {
		t.Errorf("resolved to %s after %d", id, gone)
	}
	store.createErr = ErrExists
	if _, err := NewRegistry(store).Resolve(t.Context(), testSet(2)); err == nil || !strings.Contains(err.Error(), "came and went") {
		t.Errorf("error %v", err)
	}
}

func TestResolveErrors(t *testing.T) {
	store := newMemory()
	store.createErr = errors.New("away")
	r := NewRegistry(store)
	if _, err := r.Resolve(t.Context(), testSet(1)); !errors.Is(err, store.createErr) {
		t.Errorf("error %v", err)
	}
	store.createErr = nil
	resolve(t, r, testSet(1))
	if _, err := r.Resolve(t.Context(), Set{}); err == nil {
		t.Error("a malformed set was published")
	}
}

// A caller that gives up neither stops nor spoils the allocation of others.
func TestSingleFlight(t *testing.T) {
	store := newMemory()
	store.hold = make(chan struct{})
	r := NewRegistry(store)
	impatient, cancel := context.WithCancel(t.Context())
	gaveUp := make(chan error)
	go func() {
		_, err := r.Resolve(impatient, testSet(1))
		gaveUp <- err
	}()
	cancel()
	if err := <-gaveUp; !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	var group sync.WaitGroup
	for n := range 50 {
		group.Go(func() {
			if id, err := r.Resolve(t.Context(), testSet(n%5)); err != nil || id != Number(testSet(n%5), 0) {
				t.Errorf("%s, %v", id, err)
			}
		})
	}
	close(store.hold)
	group.Wait()
	if store.creates != 5 {
		t.Errorf("%d writes for 5 sets", store.creates)
	}
}
