package cni

import (
	"bytes"
	"context"
	"net"

	"github.com/containernetworking/cni/pkg/types"

	"github.com/signet-cni/signet/cni/internal/wire"
)

// attach connects the reserved endpoint whose interface the plugin made.
func (m *Manager) attach(ctx context.Context, key wire.Key, req wire.AttachRequest) error {
	unlock, err := m.locks.lock(ctx, key)
	if err != nil {
		return err
	}
	defer unlock()
	e, ok := m.get(key)
	if !ok || e.phase == leaving {
		return refuse(types.ErrTryAgainLater, "no address is reserved for container %s", key.ContainerID)
	}
	ep, err := withLink(e.ep, req)
	if err != nil {
		return refuse(types.ErrInternal, "%v", err)
	}
	ctx, cancel := context.WithTimeout(ctx, connectTime)
	defer cancel()
	if e.phase == attached {
		return m.reconnect(ctx, e.ep, ep)
	}
	return m.connect(ctx, entry{ep: ep, phase: attaching, since: e.since})
}

// reconnect serves the repetition of an ADD: the endpoint is attached, and
// stays so whatever happens here.
func (m *Manager) reconnect(ctx context.Context, have, want Endpoint) error {
	if have.HostIfIndex != want.HostIfIndex || !bytes.Equal(have.HostMAC, want.HostMAC) || !bytes.Equal(have.PodMAC, want.PodMAC) {
		return refuse(types.ErrInternal, "container %s is attached through another interface", have.ContainerID)
	}
	if err := m.cfg.Network.Connect(ctx, have); err != nil {
		return refuse(types.ErrTryAgainLater, "connect pod %s/%s: %v", have.Namespace, have.Pod, err)
	}
	return nil
}

// connect makes the endpoint known before it calls Connect: a reconcile loop
// that runs meanwhile must not take it for a stale one.
func (m *Manager) connect(ctx context.Context, e entry) error {
	if err := m.store.save(e.ep); err != nil {
		return err
	}
	m.set(e)
	m.cfg.Changed()
	err := m.cfg.Network.Connect(ctx, e.ep)
	if err == nil {
		e.phase = attached
		m.set(e)
		m.cfg.Log.Info("endpoint attached", endpointAttrs(e.ep)...)
		return nil
	}
	err = refuse(types.ErrTryAgainLater, "connect pod %s/%s: %v", e.ep.Namespace, e.ep.Pod, err)
	e.phase = reserved
	m.set(e)
	m.cfg.Changed()
	if undo := m.disconnect(ctx, e.ep); undo != nil {
		// The interface's index stays: it says that there is more to undo.
		m.cfg.Log.Error("cannot take back a failed attachment", append(endpointAttrs(e.ep), "err", undo)...)
		return err
	}
	e.ep.HostIfIndex = 0
	m.set(e)
	return err
}

// check returns the lease of an attached endpoint that the network finds
// intact.
func (m *Manager) check(ctx context.Context, key wire.Key) (wire.Lease, error) {
	unlock, err := m.locks.lock(ctx, key)
	if err != nil {
		return wire.Lease{}, err
	}
	defer unlock()
	e, ok := m.get(key)
	if !ok || e.phase != attached {
		return wire.Lease{}, refuse(types.ErrUnknownContainer, "container %s is not attached", key.ContainerID)
	}
	ctx, cancel := context.WithTimeout(ctx, connectTime)
	defer cancel()
	if err := m.cfg.Network.Check(ctx, e.ep); err != nil {
		return wire.Lease{}, refuse(types.ErrInternal, "pod %s/%s: %v", e.ep.Namespace, e.ep.Pod, err)
	}
	return lease(e, m.cfg.Node()), nil
}

func withLink(ep Endpoint, req wire.AttachRequest) (Endpoint, error) {
	hostMAC, err := net.ParseMAC(req.HostMAC)
	if err != nil {
		return ep, err
	}
	podMAC, err := net.ParseMAC(req.PodMAC)
	if err != nil {
		return ep, err
	}
	ep.HostIfIndex, ep.HostMAC, ep.PodMAC = req.HostIfIndex, hostMAC, podMAC
	return ep, validateLink(ep.HostIfIndex, hostMAC, podMAC)
}

func endpointAttrs(ep Endpoint) []any {
	return []any{"namespace", ep.Namespace, "pod", ep.Pod, "addrs", ep.Addrs(), "interface", ep.HostIfName}
}
