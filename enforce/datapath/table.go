package datapath

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
)

// table mirrors one map, so that a desired state is compared in memory and
// only differences reach the kernel. The agent is the map's only writer.
type table[K, V comparable] struct {
	m     *ebpf.Map
	known map[K]V
	freed bool // an entry was replaced or removed since takeFreed
}

func newTable[K, V comparable](m *ebpf.Map) *table[K, V] {
	return &table[K, V]{m: m, known: map[K]V{}}
}

// read fills the mirror from the kernel.
func (t *table[K, V]) read() error {
	var key K
	var value V
	entries := t.m.Iterate()
	for entries.Next(&key, &value) {
		t.known[key] = value
	}
	if err := entries.Err(); err != nil {
		return fmt.Errorf("read map %s: %w", t.m, err)
	}
	return nil
}

func (t *table[K, V]) set(key K, value V) error {
	old, ok := t.known[key]
	if ok && old == value {
		return nil
	}
	if err := t.m.Put(key, value); err != nil {
		return fmt.Errorf("write %v to map %s (%d entries of %d): %w",
			key, t.m, len(t.known), t.m.MaxEntries(), err)
	}
	t.known[key] = value
	t.freed = t.freed || ok
	return nil
}

func (t *table[K, V]) remove(key K) error {
	if err := t.m.Delete(key); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
		return fmt.Errorf("remove %v from map %s: %w", key, t.m, err)
	}
	delete(t.known, key)
	t.freed = true
	return nil
}

// removeIf removes the entries whose keys match.
func (t *table[K, V]) removeIf(matches func(K) bool) error {
	for key := range t.known {
		if !matches(key) {
			continue
		}
		if err := t.remove(key); err != nil {
			return err
		}
	}
	return nil
}

// takeFreed reports whether the kernel may give an entry's memory to the next
// one while a program still reads it, and forgets it.
func (t *table[K, V]) takeFreed() bool {
	freed := t.freed
	t.freed = false
	return freed
}

// add writes what is missing or different; it removes nothing.
func (t *table[K, V]) add(desired map[K]V) error {
	for key, value := range desired {
		if err := t.set(key, value); err != nil {
			return err
		}
	}
	return nil
}

// prune removes what is not desired.
func (t *table[K, V]) prune(desired map[K]V) error {
	return t.removeIf(func(key K) bool {
		_, ok := desired[key]
		return !ok
	})
}

// differs reports whether the map holds anything else than desired.
func (t *table[K, V]) differs(desired map[K]V) bool {
	if len(t.known) != len(desired) {
		return true
	}
	for key, value := range desired {
		if old, ok := t.known[key]; !ok || old != value {
			return true
		}
	}
	return false
}
