package kube

import "sync"

// memo remembers what was computed from a cache until that changes in what it
// means. It is safe for concurrent use.
type memo[T any] struct {
	mu    sync.Mutex
	known bool
	value T
}

// forget is called after the cache has changed.
func (m *memo[T]) forget() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.known = false
}

// get gives what compute makes of the cache. Who gets it does not modify it.
func (m *memo[T]) get(compute func() T) T {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.known { // a change during compute forgets it again
		m.value, m.known = compute(), true
	}
	return m.value
}

// usable is what of a kind can be used, and what cannot.
type usable[T any] struct {
	objects  []T
	problems []Problem
}

// forgetting has what depends on a kind computed anew, before changed is told.
func (w *Watcher) forgetting(changed func(Kind)) func(Kind) {
	return func(kind Kind) {
		switch kind {
		case Tunnels: // not Attestations: most updates only say which identities pods have
			w.published.forget()
		case Namespaces:
			w.labels.forget()
		}
		changed(kind)
	}
}
