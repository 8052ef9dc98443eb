package cni

import (
	"context"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/signet-cni/signet/cni/internal/wire"
)

type idle struct{}

func (idle) Ready() error                               { return nil }
func (idle) Connect(context.Context, Endpoint) error    { return nil }
func (idle) Silence(context.Context, Endpoint) error    { return nil }
func (idle) Disconnect(context.Context, Endpoint) error { return nil }
func (idle) Check(context.Context, Endpoint) error      { return nil }

// A plugin that was killed between its two requests does not come back for its
// address; one that is merely slow does.
func TestReservationsExpire(t *testing.T) {
	m := newManager(t)
	now := time.Now()
	m.now = func() time.Time { return now }
	key := wire.Key{ContainerID: "c", IfName: "eth0"}
	if _, err := m.allocate(t.Context(), key, wire.AllocateRequest{Namespace: "concert", Pod: "vip"}); err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		passes time.Duration
		left   int
	}{{reservationTime, 1}, {time.Second, 0}} {
		now = now.Add(step.passes)
		if err := m.Prune(t.Context()); err != nil {
			t.Fatal(err)
		}
		owners, err := m.ipam.owners()
		if err != nil || len(owners) != step.left || len(m.snapshot()) != step.left {
			t.Errorf("after %v: addresses of %v, %v", step.passes, owners, err)
		}
	}
}

// A reservation that is just being written looks malformed, and must stay.
func TestPruneWaitsForTheAddressStore(t *testing.T) {
	m := newManager(t)
	store, err := m.ipam.open()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = store.Close() }()
	if err := store.Lock(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(m.ipam.dir, "198.18.1.2")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	pruned := make(chan error, 1)
	go func() { pruned <- m.Prune(t.Context()) }()
	time.Sleep(100 * time.Millisecond)
	if _, err := os.Stat(path); err != nil {
		t.Error(err)
	}
	if err := store.Unlock(); err != nil {
		t.Error(err)
	}
	if err := <-pruned; err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(path); err == nil {
		t.Error("the malformed reservation stayed")
	}
}

func newManager(t *testing.T) *Manager {
	t.Helper()
	node := Node{Name: "n1", PodCIDR: netip.MustParsePrefix("198.18.1.0/24"), Addr: netip.MustParseAddr("192.0.2.1"), MTU: 1400}
	m, err := New(t.Context(), Config{
		Dir: t.TempDir(), Network: idle{}, Node: func() Node { return node }, Changed: func() {}, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	return m
}
