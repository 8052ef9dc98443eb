package cni

import (
	"context"
	"testing"

	"github.com/signet-cni/signet/cni/internal/wire"
)

func TestKeyLock(t *testing.T) {
	var l keyLock
	a, b := wire.Key{ContainerID: "a", IfName: "eth0"}, wire.Key{ContainerID: "b", IfName: "eth0"}
	unlockA := mustLock(t, &l, a)
	unlockB := mustLock(t, &l, b) // does not wait for a

	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := l.lock(ended, a); err == nil {
		t.Error("locked twice")
	}
	if _, ok := l.tryLock(a); ok {
		t.Error("locked twice")
	}
	waiter := make(chan func())
	go func() { waiter <- mustLock(t, &l, a) }()
	unlockA()
	(<-waiter)()
	unlockB()
	if unlock, ok := l.tryLock(b); ok {
		unlock()
	} else {
		t.Error("b is still locked")
	}
	if len(l.slots) != 0 {
		t.Errorf("%d slots left", len(l.slots))
	}
}

func mustLock(t *testing.T, l *keyLock, key wire.Key) func() {
	unlock, err := l.lock(t.Context(), key)
	if err != nil {
		t.Error(err)
		return func() {}
	}
	return unlock
}
