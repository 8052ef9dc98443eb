package datapath

import (
	"fmt"
	"net/netip"
)

// SetDetours says which nodes, by their prefixes in the tunnel (/64), the
// second WireGuard device leads to; to all others leads the first. It takes
// effect on the next packet of every flow, and judges nothing anew: both
// devices stand for the same key holder. It outlives the agent.
func (d *Datapath) SetDetours(prefixes []netip.Prefix) (changed bool, err error) {
	desired := map[uint64]uint8{}
	for _, p := range prefixes {
		if !p.Addr().Is6() || p.Bits() != 64 {
			return false, fmt.Errorf("detour to %s: want an IPv6 /64", p)
		}
		desired[prefixWord(p)] = 1
	}
	if len(desired) > 0 && d.cfg.DetourIfIndex == 0 {
		return false, fmt.Errorf("detours without a device")
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.detours.differs(desired) {
		return false, nil
	}
	if err := d.detours.add(desired); err != nil {
		return false, err
	}
	if err := d.detours.prune(desired); err != nil {
		return true, err
	}
	settings := d.settings
	settings.Detours = uint32(len(desired))
	if err := d.set(settings); err != nil {
		return true, fmt.Errorf("set detours: %w", err)
	}
	return true, nil
}

// Detours gives what SetDetours last put in force, if by an earlier agent.
func (d *Datapath) Detours() []netip.Prefix {
	d.mu.Lock()
	defer d.mu.Unlock()
	var prefixes []netip.Prefix
	for word := range d.detours.known {
		prefixes = append(prefixes, fromPrefixWord(word))
	}
	return prefixes
}

// set writes the live settings if they differ. d.mu is held.
func (d *Datapath) set(settings bpfSettings) error {
	if settings == d.settings {
		return nil
	}
	if err := d.objs.LiveSettings.Put(uint32(0), settings); err != nil {
		return err
	}
	d.settings = settings
	return nil
}
