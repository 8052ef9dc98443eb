package device

import (
	"fmt"
	"time"

	"golang.zx2c4.com/wireguard/wgctrl"
	"golang.zx2c4.com/wireguard/wgctrl/wgtypes"

	"github.com/signet-cni/signet/overlay"
)

// pulse is a keepalive interval that is set for no longer than it takes to set
// another.
const pulse = 25 * time.Second

// Greet sends each of these peers an empty packet, and shakes hands first
// where there is no session, at most once in 5 s (REKEY_TIMEOUT). Peers that
// the device does not have are passed over.
//
// WireGuard has no request for that. But it sends a keepalive at once when
// keepalives are switched on, so they are, for an instant.
func (d *Device) Greet(peers []overlay.Peer) error {
	var off time.Duration
	on := pulse
	cfg := make([]wgtypes.PeerConfig, 0, 3*len(peers))
	for _, p := range peers {
		for _, interval := range []*time.Duration{&off, &on, &p.Keepalive} {
			cfg = append(cfg, wgtypes.PeerConfig{
				PublicKey: p.PublicKey, UpdateOnly: true, PersistentKeepaliveInterval: interval,
			})
		}
	}
	return d.write("greet peers", cfg)
}

// Renew forgets these peers and adds them again, which takes back the time
// that WireGuard waits between handshakes, and shakes hands. It is for peers
// without a session: one that there is ends, and packets that wait for one are
// lost.
func (d *Device) Renew(peers []overlay.Peer) error {
	on := pulse
	cfg := make([]wgtypes.PeerConfig, 0, 3*len(peers))
	for _, p := range peers {
		again := peerConfig(p)
		again.PersistentKeepaliveInterval = &on
		cfg = append(cfg,
			wgtypes.PeerConfig{PublicKey: p.PublicKey, Remove: true, UpdateOnly: true}, again,
			wgtypes.PeerConfig{PublicKey: p.PublicKey, UpdateOnly: true, PersistentKeepaliveInterval: &p.Keepalive})
	}
	return d.write("renew peers", cfg)
}

func (d *Device) write(doing string, peers []wgtypes.PeerConfig) error {
	if len(peers) == 0 {
		return nil
	}
	client, err := wgctrl.New()
	if err != nil {
		return fmt.Errorf("open WireGuard control: %w", err)
	}
	defer client.Close()
	if err := client.ConfigureDevice(d.name, wgtypes.Config{Peers: peers}); err != nil {
		return fmt.Errorf("%s of %s: %w", doing, d.name, err)
	}
	return nil
}
