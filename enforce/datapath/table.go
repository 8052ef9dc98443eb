package datapath

import (
	"errors"
	"fmt"
	"slices"

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

func (t *table[K, V]) set(key K, value V) error { return t.add(map[K]V{key: value}) }

func (t *table[K, V]) remove(key K) error { return t.removeAll([]K{key}) }

// removeAll removes entries; those that are not there are none.
func (t *table[K, V]) removeAll(keys []K) error {
	for chunk := range slices.Chunk(keys, batch) {
		if err := t.delete(chunk); err != nil {
			return err
		}
		for _, key := range chunk {
			_, there := t.known[key]
			delete(t.known, key)
			t.freed = t.freed || there
		}
	}
	return nil
}

// delete removes entries from the kernel, one by one where some are not there:
// a batch ends at the first of these.
func (t *table[K, V]) delete(keys []K) error {
	if len(keys) > 1 {
		_, err := t.m.BatchDelete(keys, nil)
		if !errors.Is(err, ebpf.ErrKeyNotExist) {
			return t.failed("remove", keys, err)
		}
	}
	for _, key := range keys {
		if err := t.m.Delete(key); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
			return t.failed("remove", []K{key}, err)
		}
	}
	return nil
}

// failed says what the kernel refused, nil if it did not.
func (t *table[K, V]) failed(what string, keys []K, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s %d entries, the first %v, in map %s (%d entries of %d): %w",
		what, len(keys), keys[0], t.m, len(t.known), t.m.MaxEntries(), err)
}

// removeIf removes the entries whose keys match.
func (t *table[K, V]) removeIf(matches func(K) bool) error {
	var keys []K
	for key := range t.known {
		if matches(key) {
			keys = append(keys, key)
		}
	}
	return t.removeAll(keys)
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
	var keys []K
	var values []V
	for key, value := range desired {
		if old, ok := t.known[key]; !ok || old != value {
			keys, values = append(keys, key), append(values, value)
			t.freed = t.freed || ok
		}
	}
	for len(keys) > 0 {
		count := min(len(keys), batch)
		if err := t.put(keys[:count], values[:count]); err != nil {
			return err
		}
		keys, values = keys[count:], values[count:]
	}
	return nil
}

// put writes entries to the kernel, and notes those that it took.
func (t *table[K, V]) put(keys []K, values []V) (err error) {
	written := len(keys)
	if written == 1 {
		err = t.m.Put(keys[0], values[0])
	} else {
		written, err = t.m.BatchUpdate(keys, values, nil)
	}
	if err != nil && written == len(keys) {
		written = 0 // the kernel refused before it began to count
	}
	for n := range written {
		t.known[keys[n]] = values[n]
	}
	return t.failed("write", keys[written:], err)
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
