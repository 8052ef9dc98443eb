package main

import (
	"net/netip"
	"testing"

	"github.com/signet-cni/signet/overlay"
	"github.com/signet-cni/signet/overlay/device"
)

// A peer in dual stack may send from its IPv6 pod range too, which sorts first
// or last; what is shown is its prefix inside the tunnel.
func TestPeerPrefix(t *testing.T) {
	cluster := overlay.ClusterID{0x51, 0xa2, 0xb3}
	prefix := netip.MustParsePrefix("fd51:a2b3:af4:100::/64")
	for _, pods := range []string{"fd10:244:0:1::/64", "fdff:244:0:1::/64"} {
		for _, allowed := range [][]netip.Prefix{
			{prefix}, {prefix, netip.MustParsePrefix(pods)}, {netip.MustParsePrefix(pods), prefix},
		} {
			if got := apiPeer("n", device.PeerStatus{AllowedIPs: allowed}, cluster.Range()); got.Prefix != prefix {
				t.Errorf("%v: shown as %s", allowed, got.Prefix)
			}
		}
	}
}
