package cni

import (
	"context"
	"fmt"
	"net/netip"

	"github.com/containernetworking/cni/pkg/types"

	"github.com/signet-cni/signet/cni/internal/wire"
)

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
	want := Endpoint{
		ContainerID: key.ContainerID, IfName: key.IfName, HostIfName: key.HostIfName(),
		Namespace: req.Namespace, Pod: req.Pod, PodUID: req.PodUID, Shaped: req.Shaped,
		Netkit: m.cfg.Netkit && !req.Shaped,
	}
	node := m.cfg.Node()
	if e, ok := m.get(key); ok {
		if err := sameOwner(e.ep, want); err != nil {
			return wire.Lease{}, refuse(types.ErrInvalidEnvironmentVariables, "%v", err)
		}
		if e.phase == attached {
			return lease(e, node), nil
		}
		if err := m.finish(ctx, e); err != nil {
			return wire.Lease{}, tryAgain(err)
		}
	}
	return m.reserve(want, node)
}

// finish completes a removal, or the roll-back of an ADD, that failed before.
func (m *Manager) finish(ctx context.Context, e entry) error {
	if e.ep.HostIfIndex == 0 {
		return nil // nothing was ever connected
	}
	return m.clear(ctx, keyOf(e.ep))
}

func (m *Manager) reserve(ep Endpoint, node Node) (_ wire.Lease, err error) {
	ep.Addr, ep.Addr6, err = m.ipam.allocate(keyOf(ep), node)
	if err != nil {
		return wire.Lease{}, tryAgain(err)
	}
	e := entry{ep: ep, phase: reserved, since: m.now()}
	m.set(e)
	return lease(e, node), nil
}

func sameOwner(have, want Endpoint) error {
	if have.Namespace != want.Namespace || have.Pod != want.Pod || have.PodUID != want.PodUID {
		return fmt.Errorf("container %s belongs to pod %s/%s already", have.ContainerID, have.Namespace, have.Pod)
	}
	return nil
}

// lease describes an entry to the plugin.
func lease(e entry, node Node) wire.Lease {
	l := wire.Lease{
		Header:      wire.NewHeader(),
		MTU:         node.MTU,
		Netkit:      e.ep.Netkit,
		Attached:    e.phase == attached,
		HostIfIndex: e.ep.HostIfIndex,
	}
	nodeAddrs := []netip.Addr{node.Addr, node.Addr6}
	for n, addr := range e.ep.Addrs() {
		l.Addresses = append(l.Addresses, wire.Address{Addr: addr, Gateway: wire.Gateway(addr), NodeAddr: nodeAddrs[n]})
	}
	return l
}
