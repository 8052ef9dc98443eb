package cni

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"

	"github.com/containernetworking/cni/pkg/types"

	"github.com/signet-cni/signet/cni/internal/veth"
	"github.com/signet-cni/signet/cni/internal/wire"
)

// ready returns the error that says why pods cannot be attached, if so.
func (m *Manager) ready() error {
	if err := m.cfg.Network.Ready(); err != nil {
		code := types.ErrPluginNotAvailable
		if errors.Is(err, ErrLimited) {
			code = types.ErrLimitedConnectivity
		}
		return refuse(code, "the signet agent is not ready: %v", err)
	}
	if err := checkNode(m.cfg.Node()); err != nil {
		return refuse(types.ErrPluginNotAvailable, "%v", err)
	}
	return nil
}

// allocate reserves an address, or returns what the interface has already.
func (m *Manager) allocate(ctx context.Context, key wire.Key, req wire.AllocateRequest) (wire.Lease, error) {
	if err := wire.ValidatePod(req.Namespace, req.Pod, req.PodUID); err != nil {
		return wire.Lease{}, refuse(types.ErrInvalidEnvironmentVariables, "%v", err)
	}
	unlock, err := m.locks.lock(ctx, key)
	if err != nil {
		return wire.Lease{}, err
	}
	defer unlock()
	if err := m.ready(); err != nil {
		return wire.Lease{}, tryAgain(err)
	}
	node := m.cfg.Node()
	want := Endpoint{
		ContainerID: key.ContainerID, IfName: key.IfName, HostIfName: key.HostIfName(),
		Namespace: req.Namespace, Pod: req.Pod, PodUID: req.PodUID, Shaped: req.Shaped,
	}
	if e, ok := m.get(key); ok {
		if err := sameOwner(e.ep, want); err != nil {
			return wire.Lease{}, refuse(types.ErrInvalidEnvironmentVariables, "%v", err)
		}
		if e.phase == attached {
			return lease(e, node), nil
		}
	}
	want.Addr, err = m.ipam.allocate(key, node)
	if err != nil {
		return wire.Lease{}, refuse(types.ErrTryAgainLater, "%v", err)
	}
	e := entry{ep: want, phase: reserved, since: m.now()}
	m.set(e)
	return lease(e, node), nil
}

// attach connects the reserved endpoint whose interface the plugin made.
func (m *Manager) attach(ctx context.Context, key wire.Key, req wire.AttachRequest) error {
	unlock, err := m.locks.lock(ctx, key)
	if err != nil {
		return err
	}
	defer unlock()
	e, ok := m.get(key)
	if !ok {
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
		m.cfg.Log.Error("cannot take back a failed attachment", append(endpointAttrs(e.ep), "err", undo)...)
	}
	return err
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

// remove forgets an interface: hooks, state and address, in an order that
// frees the address last. That it is not known is no error.
func (m *Manager) remove(ctx context.Context, key wire.Key) error {
	unlock, err := m.locks.lock(ctx, key)
	if err != nil {
		return err
	}
	defer unlock()
	if err := veth.Delete(key.HostIfName()); err != nil {
		return err
	}
	return m.drop(ctx, key)
}

// drop is remove for an interface that is gone; the caller holds its lock.
func (m *Manager) drop(ctx context.Context, key wire.Key) error {
	e, known := m.get(key)
	if known && e.ep.HostIfIndex != 0 {
		e.phase = leaving
		m.set(e)
		m.cfg.Changed()
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

// lease describes an entry to the plugin.
func lease(e entry, node Node) wire.Lease {
	return wire.Lease{
		Header:      wire.NewHeader(),
		Addr:        e.ep.Addr,
		Gateway:     wire.Gateway(),
		NodeAddr:    node.Addr,
		MTU:         node.MTU,
		Attached:    e.phase == attached,
		HostIfIndex: e.ep.HostIfIndex,
	}
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

func sameOwner(have, want Endpoint) error {
	if have.Namespace != want.Namespace || have.Pod != want.Pod || have.PodUID != want.PodUID {
		return fmt.Errorf("container %s belongs to pod %s/%s already", have.ContainerID, have.Namespace, have.Pod)
	}
	return nil
}

// minMTU is IPv4's; a pod with less could not use the network.
const minMTU = 576

func checkNode(node Node) error {
	if _, err := podRange(node); err != nil {
		return err
	}
	if !usable(node.Addr) {
		return fmt.Errorf("node %s has no usable IPv4 address (%v)", node.Name, node.Addr)
	}
	if node.MTU < minMTU || node.MTU > 65535 {
		return fmt.Errorf("node %s's pod MTU %d is outside %d to 65535", node.Name, node.MTU, minMTU)
	}
	return nil
}

// refuse makes an error that the plugin reports with a CNI error code.
func refuse(code uint, format string, args ...any) error {
	return &wire.Error{Header: wire.NewHeader(), Code: code, Message: fmt.Sprintf(format, args...)}
}

// tryAgain turns the answer to STATUS into the answer to ADD.
func tryAgain(err error) error {
	return refuse(types.ErrTryAgainLater, "%v", err)
}

func endpointAttrs(ep Endpoint) []any {
	return []any{"namespace", ep.Namespace, "pod", ep.Pod, "addr", ep.Addr, "interface", ep.HostIfName}
}
