package metrics

import "sync"

// bound admits the first so many values of a label. It is safe for concurrent
// use.
type bound struct {
	most int

	mu   sync.Mutex
	seen map[string]struct{}
}

func newBound(most int) *bound { return &bound{most: most, seen: map[string]struct{}{}} }

// admits reports whether a value may be a label of its own.
func (b *bound) admits(value string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if _, ok := b.seen[value]; ok {
		return true
	}
	if len(b.seen) >= b.most {
		return false
	}
	b.seen[value] = struct{}{}
	return true
}

// forget makes room for another value.
func (b *bound) forget(value string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.seen, value)
}
