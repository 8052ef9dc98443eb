package tunnel

import (
	"net/netip"
	"time"

	"github.com/signet-cni/signet/overlay"
)

// Steering is the part of the datapath that chooses between the devices.
type Steering interface {
	// SetDetours names the prefixes of the nodes that the second device leads
	// to.
	SetDetours([]netip.Prefix) (changed bool, err error)
	// Detours gives what was last set, if by an earlier agent.
	Detours() []netip.Prefix
}

// choose says whether a pair uses the detour: what is wanted once it has a
// session there, else what is in use as long as that has one.
func choose(on, want, firstUp, detourUp bool) bool {
	switch {
	case want && detourUp:
		return true
	case !want && firstUp:
		return false
	}
	return on && detourUp
}

// steer moves the pairs that have to move.
func (t *Tunnel) steer(now time.Time) error {
	next := map[string]bool{}
	var prefixes []netip.Prefix
	for _, p := range t.peers {
		detoured, can := p.OnDetour()
		next[p.Name] = can && choose(t.detoured[p.Name], t.wanted(p),
			t.first.up(p.PublicKey, now), t.second.up(detoured.PublicKey, now))
		if next[p.Name] {
			prefixes = append(prefixes, p.AllowedIPs...)
		}
	}
	changed, err := t.steering.SetDetours(prefixes)
	if err != nil {
		return err
	}
	if changed {
		t.log.Info("nodes reached by the detour", "nodes", len(prefixes))
	}
	t.detoured = next
	return nil
}

// wanted says that this node or the peer asks for the detour.
func (t *Tunnel) wanted(p overlay.Peer) bool { return t.rotation.active() || p.Detour.Active }

// inherit reads which pairs an earlier agent has left on the detour.
func inherit(peers []overlay.Peer, prefixes []netip.Prefix) map[string]bool {
	set := map[netip.Prefix]bool{}
	for _, p := range prefixes {
		set[p] = true
	}
	detoured := map[string]bool{}
	for _, p := range peers {
		detoured[p.Name] = len(p.AllowedIPs) > 0 && set[p.AllowedIPs[0]]
	}
	return detoured
}
