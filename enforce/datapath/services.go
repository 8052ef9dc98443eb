package datapath

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"

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
		members := toBackends(s.Backends)
		number := backendSet(members)
		for slot, b := range members {
			backends[bpfBackendKey{Backends: number, Slot: uint32(slot)}] = b
		}
		value := bpfService{
			Backends: number,
			Count:    uint32(len(members)),
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

// toBackends gives a set in the order in which the programs search it: that
// of words as they lie in memory.
func toBackends(list []netip.AddrPort) []bpfBackend {
	members := make([]bpfBackend, 0, len(list))
	for _, b := range list {
		members = append(members, bpfBackend{Addr: toAddr(b.Addr()), Port: toPort(b.Port())})
	}
	word := func(b bpfBackend, at int) uint64 { return binary.NativeEndian.Uint64(b.Addr.Bytes[at:]) }
	slices.SortFunc(members, func(a, b bpfBackend) int {
		return cmp.Or(cmp.Compare(word(a, 0), word(b, 0)), cmp.Compare(word(a, 8), word(b, 8)),
			cmp.Compare(a.Port, b.Port))
	})
	return slices.Compact(members)
}

// backendSet numbers a set by 64 bits of SHA-256 over its members.
func backendSet(members []bpfBackend) uint64 {
	h := sha256.New()
	for _, b := range members {
		h.Write(b.Addr.Bytes[:])
		h.Write(binary.NativeEndian.AppendUint16(nil, b.Port))
	}
	return binary.BigEndian.Uint64(h.Sum(nil))
}
