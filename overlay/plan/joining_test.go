package plan

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/signet-cni/signet/overlay"
)

// TestJoining: the addresses of machines without a tunnel are closed, unless
// they would close what is somebody's.
func TestJoining(t *testing.T) {
	cfg := dual
	cfg.Joining = addrs("192.0.2.77", "2001:db8::77", "192.0.2.77", "192.0.2.1", "192.0.2.0", "10.244.1.7", "10.96.0.1", "fd51:a2b3:af4:100::1", "127.0.0.1", "fe80::1")
	got := compute6(t, number6(0), cfg, number6(1))
	plain := compute6(t, number6(0), dual, number6(1))
	var more []overlay.Location
	for _, l := range got.Locations {
		if !slices.Contains(plain.Locations, l) {
			more = append(more, l)
		}
	}
	closed := func(p string) overlay.Location {
		return overlay.Location{Prefix: netip.MustParsePrefix(p), Kind: overlay.Closed}
	}
	if want := []overlay.Location{closed("192.0.2.77/32"), closed("2001:db8::77/128")}; !slices.Equal(more, want) || len(got.Locations) != len(plain.Locations)+2 {
		t.Errorf("more locations: %v, want %v", more, want)
	}
}
