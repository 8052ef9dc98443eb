package device

import (
	"net"
	"net/netip"
	"testing"
	"time"

	"golang.zx2c4.com/wireguard/wgctrl/wgtypes"

	"github.com/signet-cni/signet/overlay"
)

// TestEndpointDue: WireGuard roams by itself; only news may override it.
func TestEndpointDue(t *testing.T) {
	const published = "192.0.2.1:51872"
	fresh, stale := time.Now().Add(-time.Minute), time.Now().Add(-time.Hour)
	for _, c := range []struct {
		name      string
		have      string // "" for none
		last      string // what was written last, "" for a new agent
		handshake time.Time
		want      bool
	}{
		{"none yet", "", "", time.Time{}, true},
		{"as published", published, published, fresh, false},
		{"as published, never met", published, "", time.Time{}, false},
		{"roamed, live", "192.0.2.9:51872", published, fresh, false},
		{"roamed, live, new agent", "192.0.2.9:51872", "", fresh, false},
		{"roamed, dead", "192.0.2.9:51872", published, stale, true},
		{"never met", "192.0.2.9:51872", "", time.Time{}, true},
		{"published anew, live", "192.0.2.9:51872", "192.0.2.9:51872", fresh, true},
		{"mapped form of the same", "[::ffff:192.0.2.1]:51872", published, stale, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			key := wgtypes.Key{1}
			d := &Device{endpoints: map[wgtypes.Key]string{}}
			if c.last != "" {
				d.endpoints[key] = c.last
			}
			have := wgtypes.Peer{PublicKey: key, LastHandshakeTime: c.handshake}
			if c.have != "" {
				have.Endpoint = net.UDPAddrFromAddrPort(netip.MustParseAddrPort(c.have))
			}
			if got := d.endpointDue(have, overlay.Peer{PublicKey: key, Endpoint: netip.MustParseAddrPort(published)}); got != c.want {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}

// TestDifferenceNeverReplaces: no request may end sessions wholesale, and
// removals come first.
func TestDifferenceNeverReplaces(t *testing.T) {
	d := &Device{endpoints: map[wgtypes.Key]string{}}
	prefix := netip.MustParsePrefix("fd51:a2b3:af4:100::/64")
	at := netip.MustParseAddrPort("192.0.2.1:51872")
	peer := func(k byte, p netip.Prefix) wgtypes.Peer {
		return wgtypes.Peer{
			PublicKey: wgtypes.Key{k}, Endpoint: net.UDPAddrFromAddrPort(at),
			AllowedIPs: []net.IPNet{*toIPNet(p)},
		}
	}
	other := netip.MustParsePrefix("fd51:a2b3:af4:200::/64")
	third := netip.MustParsePrefix("fd51:a2b3:af4:300::/64")
	have := &wgtypes.Device{Peers: []wgtypes.Peer{peer(2, other), peer(1, prefix), peer(3, prefix)}}
	want := Desired{ListenPort: 1, Peers: []overlay.Peer{
		{PublicKey: wgtypes.Key{2}, Endpoint: at, AllowedIPs: []netip.Prefix{other}},
		{PublicKey: wgtypes.Key{3}, Endpoint: at, AllowedIPs: []netip.Prefix{third}},
		{PublicKey: wgtypes.Key{4}, Endpoint: at, AllowedIPs: []netip.Prefix{prefix}},
	}}
	cfg, changes := d.difference(have, want)
	if cfg.ReplacePeers || len(cfg.Peers) != 3 || !cfg.Peers[0].Remove || !cfg.Peers[0].UpdateOnly {
		t.Errorf("request %+v", cfg)
	}
	if !cfg.Peers[1].UpdateOnly || !cfg.Peers[1].ReplaceAllowedIPs || cfg.Peers[1].Endpoint != nil {
		t.Errorf("update %+v", cfg.Peers[1])
	}
	if len(changes.Added) != 1 || len(changes.Updated) != 1 || len(changes.Removed) != 1 || changes.Removed[0] != (wgtypes.Key{1}) {
		t.Errorf("changes %+v", changes)
	}
}
