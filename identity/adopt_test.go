package identity

import (
	"strings"
	"testing"
	"time"
)

// clock makes a registry whose time stands still until it is moved.
func clock(store Store) (*Registry, func(time.Duration)) {
	r := NewRegistry(store)
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	r.now = func() time.Time { return now }
	return r, func(d time.Duration) { now = now.Add(d) }
}

func adopt(t *testing.T, r *Registry, published map[ID]Set) {
	t.Helper()
	if err := r.Adopt(published); err != nil {
		t.Fatal(err)
	}
}

func stands(t *testing.T, r *Registry, id ID, set Set, want bool) {
	t.Helper()
	got, ok := r.Lookup(id)
	all, listed := r.All()[id]
	if ok != want || listed != want || want && (!got.Equal(set) || !all.Equal(set)) {
		t.Errorf("%s stands for its set: %v, listed %v, want %v", id, ok, listed, want)
	}
}

// What was allocated here and seen with the Store, after the Store's answer or
// before it, is lost as soon as the Store has lost it: the watch does not lag
// behind any more.
func TestLearnedIsSeen(t *testing.T) {
	for _, early := range []bool{false, true} {
		store := newMemory()
		r, _ := clock(store)
		set := testSet(1)
		id := Number(set, 0)
		learn := func() {
			if err := r.Learn(id, set); err != nil {
				t.Error(err)
			}
		}
		if early {
			store.afterCreate = learn
		}
		resolve(t, r, set)
		if !early {
			learn()
		}
		delete(store.sets, id)
		adopt(t, r, nil)
		stands(t, r, id, set, true)
		if resolve(t, r, set); store.creates != 2 {
			t.Errorf("%d creations, want the set to be published again (seen early: %v)", store.creates, early)
		}
	}
}

// A number that vanishes is published anew by who needs it, and packets under
// it are judged by what it stood for until none can be under way.
func TestAdoptLapses(t *testing.T) {
	store := newMemory()
	r, pass := clock(store)
	set := testSet(1)
	id := Number(set, 0)
	adopt(t, r, map[ID]Set{id: set})
	adopt(t, r, nil)
	stands(t, r, id, set, true)
	pass(Grace - time.Second)
	adopt(t, r, nil)
	stands(t, r, id, set, true)
	pass(time.Second)
	stands(t, r, id, set, false)
	if resolve(t, r, set); store.creates != 1 {
		t.Error("a set whose number is gone was not published again")
	}
}

func TestAdoptEarlierNumber(t *testing.T) {
	store := newMemory()
	r, _ := clock(store)
	set := testSet(1)
	first, later := Number(set, 0), Number(set, 1)
	adopt(t, r, map[ID]Set{later: set})
	if id := resolve(t, r, set); id != later {
		t.Errorf("resolved to %s, want the known %s", id, later)
	}
	adopt(t, r, map[ID]Set{later: set, first: set})
	if id := resolve(t, r, set); id != first {
		t.Errorf("resolved to %s, want the earlier of two", id)
	}
	adopt(t, r, map[ID]Set{later: set})
	if id := resolve(t, r, set); id != later || store.creates != 0 {
		t.Errorf("resolved to %s, want the one left", id)
	}
}

// The watch may not show yet what was just allocated. If it never does, the
// object was removed before anyone saw it.
func TestAdoptWaitsForTheWatch(t *testing.T) {
	store := newMemory()
	r, pass := clock(store)
	id := resolve(t, r, testSet(1))
	adopt(t, r, nil)
	if resolve(t, r, testSet(1)); store.creates != 1 {
		t.Error("published twice")
	}
	delete(store.sets, id)
	pass(confirmTime)
	adopt(t, r, nil)
	if resolve(t, r, testSet(1)); store.creates != 2 {
		t.Error("a number that the store does not have is still given out")
	}
}

// An object that was edited stands for nothing new. What it stood for holds for
// packets under way, and pods of those labels take the next number.
func TestAdoptEdited(t *testing.T) {
	store := newMemory()
	r, pass := clock(store)
	set, edited := testSet(1), testSet(2)
	id := resolve(t, r, set)
	adopt(t, r, map[ID]Set{id: set})
	store.sets[id] = edited
	if err := r.Adopt(map[ID]Set{id: edited}); err == nil || !strings.Contains(err.Error(), id.String()) {
		t.Errorf("an edited object was adopted: %v", err)
	}
	stands(t, r, id, set, true)
	if moved := resolve(t, r, set); moved != Number(set, 1) {
		t.Errorf("resolved to %s, want %s", moved, Number(set, 1))
	}
	pass(Grace)
	stands(t, r, id, set, false)
}

func TestAdoptReserved(t *testing.T) {
	r, _ := clock(newMemory())
	for _, id := range []ID{Unknown, Host, World, MaxReserved} {
		if err := r.Adopt(map[ID]Set{id: testSet(1)}); err == nil || len(r.All()) != 0 {
			t.Errorf("%s: %v, %v", id, err, r.All())
		}
	}
}

// While packets of two sets can be under way under one number, it stands for
// neither.
func TestAdoptChangesHands(t *testing.T) {
	always := func(uint32) ID { return 256 }
	r, pass := clock(newMemory())
	r.fold = always
	adopt(t, r, map[ID]Set{256: testSet(1)})
	adopt(t, r, map[ID]Set{256: testSet(2)})
	stands(t, r, 256, Set{}, false)
	pass(Grace)
	stands(t, r, 256, testSet(2), true)
	adopt(t, r, map[ID]Set{256: testSet(2)})
	stands(t, r, 256, testSet(2), true)
}
