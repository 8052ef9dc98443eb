package device

import (
	"bytes"
	"net"
	"net/netip"
	"slices"
	"time"

	"golang.zx2c4.com/wireguard/wgctrl/wgtypes"

	"github.com/signet-cni/signet/overlay"
)

// sessionLifetime is how long a WireGuard session can carry data without a new
// handshake (REJECT_AFTER_TIME of the protocol).
const sessionLifetime = 180 * time.Second

// difference computes the request that turns have into want. ReplacePeers is
// never used, since it ends every session, and a peer that is right is not
// mentioned at all.
//
// Removals come first. Otherwise a new key would take over its node's prefix
// while packets of the old key's session still arrive, and those would be
// dropped as forged rather than as unknown.
func (d *Device) difference(have *wgtypes.Device, want Desired) (wgtypes.Config, Changes) {
	var cfg wgtypes.Config
	var changes Changes
	if have.PrivateKey != want.PrivateKey {
		cfg.PrivateKey, changes.PrivateKey = &want.PrivateKey, true
	}
	if port := int(want.ListenPort); have.ListenPort != port {
		cfg.ListenPort, changes.ListenPort = &port, true
	}
	wanted := map[wgtypes.Key]bool{}
	for _, p := range want.Peers {
		wanted[p.PublicKey] = true
	}
	existing := map[wgtypes.Key]wgtypes.Peer{}
	for _, p := range have.Peers {
		existing[p.PublicKey] = p
		if !wanted[p.PublicKey] {
			cfg.Peers = append(cfg.Peers, wgtypes.PeerConfig{PublicKey: p.PublicKey, Remove: true, UpdateOnly: true})
			changes.Removed = append(changes.Removed, p.PublicKey)
		}
	}
	for _, p := range want.Peers {
		old, exists := existing[p.PublicKey]
		if !exists {
			cfg.Peers = append(cfg.Peers, peerConfig(p))
			changes.Added = append(changes.Added, p.PublicKey)
		} else if update, due := d.update(old, p); due {
			cfg.Peers = append(cfg.Peers, update)
			changes.Updated = append(changes.Updated, p.PublicKey)
		}
	}
	sortKeys(changes.Removed)
	return cfg, changes
}

// update gives what has to change about a peer that the device already has.
func (d *Device) update(have wgtypes.Peer, want overlay.Peer) (wgtypes.PeerConfig, bool) {
	cfg := wgtypes.PeerConfig{PublicKey: want.PublicKey, UpdateOnly: true}
	if d.endpointDue(have, want) {
		cfg.Endpoint = net.UDPAddrFromAddrPort(want.Endpoint)
	}
	if !samePrefixes(have.AllowedIPs, want.AllowedIPs) {
		cfg.ReplaceAllowedIPs, cfg.AllowedIPs = true, ipNets(want.AllowedIPs)
	}
	if have.PersistentKeepaliveInterval != want.Keepalive {
		cfg.PersistentKeepaliveInterval = &want.Keepalive
	}
	return cfg, cfg.Endpoint != nil || cfg.ReplaceAllowedIPs || cfg.PersistentKeepaliveInterval != nil
}

// endpointDue decides whether to write a peer's endpoint. WireGuard moves it
// by itself to where authenticated packets come from, and writing back what the
// node once published would undo that. So it is written when the published
// one changed, or when the session has ended and nothing else is known.
func (d *Device) endpointDue(have wgtypes.Peer, want overlay.Peer) bool {
	if have.Endpoint == nil {
		return true
	}
	at := have.Endpoint.AddrPort()
	if netip.AddrPortFrom(at.Addr().Unmap(), at.Port()) == want.Endpoint {
		return false
	}
	if last, ok := d.endpoints[want.PublicKey]; ok && last != want.Endpoint.String() {
		return true
	}
	return time.Since(have.LastHandshakeTime) > sessionLifetime
}

func peerConfig(p overlay.Peer) wgtypes.PeerConfig {
	return wgtypes.PeerConfig{
		PublicKey:                   p.PublicKey,
		Endpoint:                    net.UDPAddrFromAddrPort(p.Endpoint),
		ReplaceAllowedIPs:           true,
		AllowedIPs:                  ipNets(p.AllowedIPs),
		PersistentKeepaliveInterval: &p.Keepalive,
	}
}

func samePrefixes(have []net.IPNet, want []netip.Prefix) bool {
	a, b := prefixes(have), slices.Clone(want)
	slices.SortFunc(b, netip.Prefix.Compare)
	return slices.Equal(a, b)
}

// prefixes converts and sorts.
func prefixes(nets []net.IPNet) []netip.Prefix {
	out := make([]netip.Prefix, 0, len(nets))
	for _, n := range nets {
		out = append(out, fromIPNet(&n))
	}
	slices.SortFunc(out, netip.Prefix.Compare)
	return out
}

// fromIPNet gives the invalid prefix for nil and for a mask with holes.
func fromIPNet(n *net.IPNet) netip.Prefix {
	if n == nil {
		return netip.Prefix{}
	}
	ones, bits := n.Mask.Size()
	addr, ok := netip.AddrFromSlice(n.IP)
	if addr = addr.Unmap(); !ok || bits != addr.BitLen() {
		return netip.Prefix{}
	}
	return netip.PrefixFrom(addr, ones)
}

func ipNets(ps []netip.Prefix) []net.IPNet {
	out := make([]net.IPNet, 0, len(ps))
	for _, p := range ps {
		out = append(out, *toIPNet(p))
	}
	return out
}

func toIPNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}

func sortKeys(keys []wgtypes.Key) {
	slices.SortFunc(keys, func(a, b wgtypes.Key) int { return bytes.Compare(a[:], b[:]) })
}
