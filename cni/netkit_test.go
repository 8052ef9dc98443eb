package cni

import (
	"context"
	"log/slog"
	"net/netip"
	"testing"

	"github.com/signet-cni/signet/cni/internal/wire"
)

// readyNetwork is a Network that takes pods. Nothing else is asked of it.
type readyNetwork struct{ Network }

func (readyNetwork) Ready() error { return nil }

// The lease says which device the plugin makes: netkit where that is
// configured, but a veth for a limited pod. Whoever repeats the request is told
// the same.
func TestLeaseNetkit(t *testing.T) {
	for _, tt := range []struct{ netkit, shaped, want bool }{
		{false, false, false},
		{false, true, false},
		{true, false, true},
		{true, true, false},
	} {
		m := newReadyManager(t, tt.netkit)
		key := wire.Key{ContainerID: "c-pod", IfName: "eth0"}
		req := wire.AllocateRequest{Namespace: "concert", Pod: "pod", PodUID: "0f0f", Shaped: tt.shaped}
		for range 2 {
			lease, err := m.allocate(t.Context(), key, req)
			if err != nil || lease.Netkit != tt.want {
				t.Errorf("%+v: netkit %t, %v", tt, lease.Netkit, err)
			}
		}
	}
}

func newReadyManager(t *testing.T, netkit bool) *Manager {
	t.Helper()
	m, err := New(context.Background(), Config{
		Dir: t.TempDir(), Network: readyNetwork{}, Netkit: netkit,
		Node: func() Node {
			return Node{Name: "n1", Addr: netip.MustParseAddr("192.0.2.1"), PodCIDR: netip.MustParsePrefix("198.18.1.0/24"), MTU: 1400}
		},
		Changed: func() {}, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	return m
}
