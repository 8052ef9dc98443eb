package datapath

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"net/netip"

	"github.com/signet-cni/signet/enforce/service"
)

// SetServices puts the whole set in force. Sets of backends are numbered by
// their content, so a service switches from one whole set to another.
func (d *Datapath) SetServices(desired []service.Service) (changed bool, err error) {
	frontends, backends, err := toServices(desired)
	if err != nil {
		return false, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.services.differs(frontends) && !d.backends.differs(backends) {
		return false, nil
	}
	if err := d.backends.add(backends); err != nil {
		return false, err
	}
	if err := d.services.add(frontends); err != nil {
		return true, err
	}
	if err := d.services.prune(frontends); err != nil {
		return true, err
	}
	if err := d.rejudge(); err != nil {
		return true, err
	}
	return true, d.backends.prune(backends)
}

func toServices(list []service.Service) (map[bpfServiceKey]bpfService, map[bpfBackendKey]bpfBackend, error) {
	frontends := map[bpfServiceKey]bpfService{}
	backends := map[bpfBackendKey]bpfBackend{}
	for _, s := range list {
		number := backendSet(s.Backends)
		for slot, b := range s.Backends {
			key := bpfBackendKey{Backends: number, Slot: uint32(slot)}
			backends[key] = bpfBackend{Addr: toAddr(b.Addr()), Port: toPort(b.Port())}
		}
		value := bpfService{
			Backends: number,
			Count:    uint32(len(s.Backends)),
			Affinity: uint32(s.Affinity.Seconds()),
		}
		for _, f := range s.Frontends {
			key := toServiceKey(f)
			if old, ok := frontends[key]; ok && old != value {
				return nil, nil, fmt.Errorf("service %s/%s: %v port %d is another service's too",
					s.Namespace, s.Name, f.Addr, f.Port)
			}
			frontends[key] = value
		}
	}
	return frontends, backends, nil
}

func toServiceKey(f service.Frontend) bpfServiceKey {
	key := bpfServiceKey{Port: toPort(f.Port), Protocol: uint8(f.Protocol)}
	if f.Addr.IsValid() {
		key.Addr = toAddr(f.Addr)
	}
	return key
}

// backendSet numbers a set by 64 bits of SHA-256 over its members.
func backendSet(backends []netip.AddrPort) uint64 {
	h := sha256.New()
	for _, b := range backends {
		a := b.Addr().As16()
		h.Write(a[:])
		h.Write(binary.BigEndian.AppendUint16(nil, b.Port()))
	}
	return binary.BigEndian.Uint64(h.Sum(nil))
}
