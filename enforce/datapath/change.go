package datapath

import (
	"errors"
	"maps"
	"slices"

	"github.com/signet-cni/signet/enforce/policy"
)

// ChangePolicy brings the table in force up to date (policy.Result.Change), at
// a cost that depends on what changes. It keeps to the order of SetPolicy, so
// that no packet meets a mixture of two tables either. Identities that were not
// known before, and nothing else, need no switch: the revision stays, and no
// flow is judged again.
//
// After an error the table that is in force is the old one or the new one, and
// SetPolicy has to follow.
func (d *Datapath) ChangePolicy(delta *policy.Delta) error {
	if delta.Empty() {
		return nil
	}
	put, gone := toRows(&delta.Put), toRows(&delta.Gone)
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.revision == 0 {
		return errors.New("change the policy: none is loaded")
	}
	if err := d.settle(); err != nil {
		return err
	}
	if err := d.policy.addRows(put); err != nil {
		return err
	}
	onlyNew := delta.Gone.Empty() && d.unknown(put.identities)
	if err := d.stage(put, gone); err != nil {
		return err
	}
	if onlyNew {
		err := d.policy.identities.add(onSide(d.revision&1, put.identities))
		d.settled = err == nil
		return err
	}
	if err := d.bump(); err != nil {
		return err
	}
	if err := d.stage(put, gone); err != nil {
		return err
	}
	d.settled = true
	return d.policy.removeRows(gone)
}

// unknown reports whether no program can judge by any of the identities yet.
func (d *Datapath) unknown(identities map[uint32]bpfSide) bool {
	for id := range identities {
		if _, known := d.policy.identities.known[bpfIdentityKey{Identity: id, Side: d.revision & 1}]; known {
			return false
		}
	}
	return true
}

// stage changes identities on the side that is not in force.
func (d *Datapath) stage(put, gone *policyRows) error {
	other := (d.revision + 1) & 1
	d.settled = false
	if err := d.policy.identities.add(onSide(other, put.identities)); err != nil {
		return err
	}
	return d.policy.identities.removeAll(slices.Collect(maps.Keys(onSide(other, gone.identities))))
}

func (p *policyTables) removeRows(gone *policyRows) error {
	return errors.Join(
		p.rules.removeAll(slices.Collect(maps.Keys(gone.rules))), p.cidrs.removeAll(slices.Collect(maps.Keys(gone.cidrs))),
		p.names.removeAll(slices.Collect(maps.Keys(gone.names))), p.chunks.removeAll(slices.Collect(maps.Keys(gone.chunks))))
}
