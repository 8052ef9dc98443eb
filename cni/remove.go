package cni

import (
	"context"
	"fmt"

	"github.com/signet-cni/signet/cni/internal/pair"
	"github.com/signet-cni/signet/cni/internal/wire"
)

// remove forgets an interface: what passes, the pair, hooks, state and address,
// in an order that frees the address last. That it is not known is no error.
func (m *Manager) remove(ctx context.Context, key wire.Key) error {
	unlock, err := m.locks.lock(ctx, key)
	if err != nil {
		return err
	}
	defer unlock()
	return m.clear(ctx, key)
}

// clear is remove for who holds the interface's lock. The endpoint is silenced
// first: the kernel takes as long to let the interface go as programs may still
// use the endpoint, and the next pod must wait for both.
func (m *Manager) clear(ctx context.Context, key wire.Key) error {
	if e, known := m.get(key); known && e.ep.HostIfIndex != 0 {
		m.leave(e)
		if err := m.silence(ctx, e.ep); err != nil {
			return err
		}
	}
	if err := pair.Delete(key.HostIfName()); err != nil {
		return err
	}
	return m.drop(ctx, key)
}

// drop is clear for an interface that is gone.
func (m *Manager) drop(ctx context.Context, key wire.Key) error {
	e, known := m.get(key)
	if known && e.ep.HostIfIndex != 0 {
		m.leave(e)
		if err := m.disconnect(ctx, e.ep); err != nil {
			return err
		}
		m.cfg.Log.Info("endpoint removed", endpointAttrs(e.ep)...)
	}
	if err := m.ipam.release(key); err != nil {
		return err
	}
	m.forget(key)
	return nil
}

// leave takes an entry out of Endpoints.
func (m *Manager) leave(e entry) {
	if e.phase == leaving {
		return
	}
	e.phase = leaving
	m.set(e)
	m.cfg.Changed()
}

// silence has nothing pass any more, also when ctx has ended.
func (m *Manager) silence(ctx context.Context, ep Endpoint) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), disconnectTime)
	defer cancel()
	if err := m.cfg.Network.Silence(ctx, ep); err != nil {
		return fmt.Errorf("silence pod %s/%s: %w", ep.Namespace, ep.Pod, err)
	}
	return nil
}

// disconnect undoes connect, also when ctx has ended.
func (m *Manager) disconnect(ctx context.Context, ep Endpoint) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), disconnectTime)
	defer cancel()
	if err := m.cfg.Network.Disconnect(ctx, ep); err != nil {
		return fmt.Errorf("disconnect pod %s/%s: %w", ep.Namespace, ep.Pod, err)
	}
	return m.store.remove(ep.HostIfName)
}
