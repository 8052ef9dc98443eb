package cni

import (
	"context"
	"errors"
	"fmt"
	"net/netip"

	"github.com/signet-cni/signet/cni/internal/pair"
	"github.com/signet-cni/signet/cni/internal/wire"
)

// restore loads the endpoints of an earlier Manager and makes sure that each
// has its address to itself.
func (m *Manager) restore() error {
	endpoints, bad, err := m.store.load()
	if err != nil {
		return err
	}
	holders := map[netip.Addr]bool{}
	for _, ep := range endpoints {
		if err := m.reclaim(ep, holders); err != nil {
			bad = append(bad, badState{m.store.path(ep.HostIfName), ep.HostIfName, err})
			continue
		}
		m.set(entry{ep: ep, phase: attached, since: m.now()})
	}
	for _, b := range bad {
		if err := m.condemn(b); err != nil {
			return err
		}
	}
	return nil
}

// reclaim makes sure that nobody but ep has its addresses.
func (m *Manager) reclaim(ep Endpoint, holders map[netip.Addr]bool) error {
	for _, addr := range ep.Addrs() {
		if err := m.ipam.claim(keyOf(ep), addr); err != nil {
			return err
		}
		if holders[addr] {
			return fmt.Errorf("address %s has two endpoints", addr)
		}
		holders[addr] = true
	}
	return nil
}

// condemn cuts off the pod of a file that cannot be trusted: its address is
// about to be handed to another one.
func (m *Manager) condemn(b badState) error {
	m.cfg.Log.Error("removing the endpoint of an invalid file", "path", b.path, "interface", b.hostIfName, "err", b.err)
	if err := pair.Delete(b.hostIfName); err != nil {
		return err
	}
	return removeFile(b.path)
}

// Prune removes the endpoints whose host interface is gone, reservations that
// nobody came back for, and addresses that belong to no endpoint. The agent
// calls it from time to time: a DEL that found no agent leaves such behind. It
// does not wait for interfaces that are being attached or removed: the next
// call sees to them.
func (m *Manager) Prune(ctx context.Context) error {
	keys, err := m.ipam.owners()
	if err != nil {
		return err
	}
	for _, e := range m.snapshot() {
		keys = append(keys, keyOf(e.ep))
	}
	for _, key := range keys {
		err = errors.Join(err, m.pruneOne(ctx, key))
	}
	return err
}

func (m *Manager) pruneOne(ctx context.Context, key wire.Key) error {
	unlock, ok := m.locks.tryLock(key)
	if !ok {
		return nil
	}
	defer unlock()
	stale, err := m.stale(key)
	if err != nil || !stale {
		return err
	}
	if e, known := m.get(key); known && e.phase == reserved {
		return m.clear(ctx, key) // a killed ADD may have left its interface
	}
	return m.drop(ctx, key)
}

// stale says whether nothing can use what is remembered of key any more.
func (m *Manager) stale(key wire.Key) (bool, error) {
	e, known := m.get(key)
	if !known {
		return true, nil // an address without an owner
	}
	if e.phase == reserved {
		return m.now().Sub(e.since) > reservationTime, nil
	}
	index, exists, err := pair.Index(e.ep.HostIfName)
	return e.phase == leaving || !exists || index != e.ep.HostIfIndex, err
}

// collect removes every interface that valid does not name.
func (m *Manager) collect(ctx context.Context, valid []wire.Key) error {
	keep := make(map[wire.Key]bool, len(valid))
	for _, key := range valid {
		keep[key] = true
	}
	var err error
	for _, e := range m.snapshot() {
		if !keep[keyOf(e.ep)] {
			err = errors.Join(err, m.collectOne(ctx, e))
		}
	}
	return errors.Join(err, m.Prune(ctx))
}

// collectOne removes what GC saw, unless an ADD was under way then and has
// succeeded since: the list of valid interfaces is older than that.
func (m *Manager) collectOne(ctx context.Context, seen entry) error {
	key := keyOf(seen.ep)
	unlock, err := m.locks.lock(ctx, key)
	if err != nil {
		return err
	}
	defer unlock()
	e, known := m.get(key)
	if !known || e.phase == attached && seen.phase != attached {
		return nil
	}
	return m.clear(ctx, key)
}
