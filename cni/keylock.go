package cni

import (
	"context"
	"sync"

	"github.com/signet-cni/signet/cni/internal/wire"
)

// keyLock serializes what happens to one interface and nothing else.
type keyLock struct {
	mu    sync.Mutex
	slots map[wire.Key]*slot
}

type slot struct {
	token chan struct{} // holds one element while unlocked
	users int           // holder and waiters
}

// lock waits for the key until ctx ends. The caller must call the returned
// function to let go of it.
func (l *keyLock) lock(ctx context.Context, key wire.Key) (unlock func(), err error) {
	s := l.enter(key)
	select {
	case <-s.token:
		return func() { l.release(key, s) }, nil
	case <-ctx.Done():
		l.leave(key, s)
		return nil, ctx.Err()
	}
}

// tryLock is lock that does not wait: ok is false if the key is locked.
func (l *keyLock) tryLock(key wire.Key) (unlock func(), ok bool) {
	s := l.enter(key)
	select {
	case <-s.token:
		return func() { l.release(key, s) }, true
	default:
		l.leave(key, s)
		return nil, false
	}
}

func (l *keyLock) release(key wire.Key, s *slot) {
	s.token <- struct{}{}
	l.leave(key, s)
}

func (l *keyLock) enter(key wire.Key) *slot {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.slots[key]
	if s == nil {
		s = &slot{token: make(chan struct{}, 1)}
		s.token <- struct{}{}
		if l.slots == nil {
			l.slots = map[wire.Key]*slot{}
		}
		l.slots[key] = s
	}
	s.users++
	return s
}

func (l *keyLock) leave(key wire.Key, s *slot) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if s.users--; s.users == 0 {
		delete(l.slots, key)
	}
}
