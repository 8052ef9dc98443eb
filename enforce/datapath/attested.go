package datapath

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/cilium/ebpf"

	"github.com/signet-cni/signet/identity"
)

// Attestation is what becomes of a packet whose identity is not verified for
// the sending node.
type Attestation uint32

// The modes.
const (
	// Audit judges it as any other, counts it and marks its event.
	Audit = Attestation(bpfAttestationATTESTATION_AUDIT)
	// Enforce drops it.
	Enforce = Attestation(bpfAttestationATTESTATION_ENFORCE)
)

// String is the mode's name, as the configuration has it.
func (a Attestation) String() string {
	switch a {
	case Audit:
		return "audit"
	case Enforce:
		return "enforce"
	}
	return fmt.Sprintf("attestation-%d", uint32(a))
}

// ParseAttestation reads the name of a mode.
func ParseAttestation(name string) (Attestation, error) {
	for _, a := range []Attestation{Audit, Enforce} {
		if a.String() == name {
			return a, nil
		}
	}
	return Audit, fmt.Errorf("attestation %q: want audit or enforce", name)
}

// attestation is what the maps say of who may speak for whom. The lists are
// all that is kept of the table here: it has an entry for each identity of each
// node.
type attestation struct {
	table *ebpf.Map
	nodes map[uint64][]identity.ID // by the prefix's word; as sorted gives them
}

// open takes over what an earlier agent left.
func (a *attestation) open(objs *bpfObjects) error {
	a.table, a.nodes = objs.Attested, map[uint64][]identity.ID{}
	var key bpfAttestedKey
	var value uint8
	entries := a.table.Iterate()
	for entries.Next(&key, &value) {
		a.nodes[key.Prefix] = append(a.nodes[key.Prefix], identity.ID(key.Identity))
	}
	if err := entries.Err(); err != nil {
		return fmt.Errorf("read map %s: %w", a.table, err)
	}
	for word, ids := range a.nodes {
		a.nodes[word] = sorted(ids)
	}
	return nil
}

// sorted gives ids in order and without repetition: ids itself if it is so.
func sorted(ids []identity.ID) []identity.ID {
	for n := 1; n < len(ids); n++ {
		if ids[n-1] >= ids[n] {
			ids = slices.Clone(ids)
			slices.Sort(ids)
			return slices.Compact(ids)
		}
	}
	return ids
}

func (a *attestation) usage(name string) Usage {
	entries := 0
	for _, ids := range a.nodes {
		entries += len(ids)
	}
	return Usage{name, entries, int(a.table.MaxEntries())}
}

// SetAttested puts in force for which identities the node of each tunnel /64
// speaks, and what becomes of others. Flows are judged again only where
// Enforce could end them: when it begins, and when a node takes an identity
// back. The lists are kept, and must not be modified afterwards.
func (d *Datapath) SetAttested(desired map[netip.Prefix][]identity.ID, mode Attestation) (changed bool, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	a := &d.attestation
	words := make(map[uint64]bool, len(desired))
	var added, removed bool
	for prefix, ids := range desired {
		word := prefixWord(prefix)
		words[word] = true
		if err := a.update(word, ids, &added, &removed); err != nil {
			return added || removed, err
		}
	}
	for word := range a.nodes {
		if words[word] {
			continue
		}
		if err := a.update(word, nil, &added, &removed); err != nil {
			return added || removed, err
		}
		delete(a.nodes, word)
	}
	settings := d.settings
	settings.Attestation = uint32(mode)
	switched := settings != d.settings
	if err := d.set(settings); err != nil {
		return added || removed, fmt.Errorf("set attestation %s: %w", mode, err)
	}
	if mode == Enforce && (switched || removed) {
		err = d.rejudge()
	}
	return added || removed || switched, err
}

// update brings one node's identities in line; what it does not have any more
// goes last. After a failure it does everything again, to the same effect.
func (a *attestation) update(word uint64, ids []identity.ID, added, removed *bool) error {
	ids = sorted(ids)
	before := a.nodes[word]
	if slices.Equal(ids, before) {
		return nil
	}
	var fresh []bpfAttestedKey
	for _, id := range ids {
		if _, known := slices.BinarySearch(before, id); !known {
			fresh = append(fresh, bpfAttestedKey{Prefix: word, Identity: uint32(id)})
		}
	}
	if len(fresh) > 0 {
		*added = true
		if _, err := a.table.BatchUpdate(fresh, slices.Repeat([]uint8{1}, len(fresh)), nil); err != nil {
			return fmt.Errorf("write %d entries, the first %v, to map %s (room for %d): %w",
				len(fresh), fresh[0], a.table, a.table.MaxEntries(), err)
		}
	}
	for _, id := range before {
		if _, stays := slices.BinarySearch(ids, id); stays {
			continue
		}
		key := bpfAttestedKey{Prefix: word, Identity: uint32(id)}
		if err := a.table.Delete(key); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
			return fmt.Errorf("remove %v from map %s: %w", key, a.table, err)
		}
		*removed = true
	}
	a.nodes[word] = ids
	return nil
}

// Unattested counts the packets whose identity was not verified for their node,
// since the node started: in Audit the first of each flow and revision.
func (d *Datapath) Unattested() (DropCount, error) {
	var perCPU []bpfDropCount
	if err := d.objs.Unattested.Lookup(uint32(0), &perCPU); err != nil {
		return DropCount{}, fmt.Errorf("read unattested: %w", err)
	}
	return sum(perCPU), nil
}
