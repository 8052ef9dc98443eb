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

// SetServices puts the whole set in force. A frontend leads to the backends of
// its own family; 0.0.0.0 and :: stand for every
// address of every node. Sets of backends are numbered by
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
		var values [2]bpfService // of each family
		for family, members := range toBackends(s.Backends) {
			number := backendSet(members)
			for slot, b := range members {
				backends[bpfBackendKey{Backends: number, Slot: uint32(slot)}] = b
			}
			values[family] = bpfService{
				Backends: number,
				Count:    uint32(len(members)),
				Affinity: uint32(s.Affinity.Seconds()),
			}
		}
		for _, f := range s.Frontends {
			if !f.Addr.IsValid() {
				return nil, nil, fmt.Errorf("service %s/%s: port %d has no address", s.Namespace, s.Name, f.Port)
			}
			key, value := toServiceKey(f), values[familyOf(f.Addr)]
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
	return bpfServiceKey{Addr: toAddr(f.Addr), Port: toPort(f.Port), Protocol: uint8(f.Protocol)}
}

// familyOf is 1 for IPv6, else 0.
func familyOf(a netip.Addr) int {
	if a.Is6() && !a.Is4In6() {
		return 1
	}
	return 0
}

// toBackends gives each family's backends, in the order in which the programs
// search them: that of words as they lie in memory.
func toBackends(list []netip.AddrPort) (families [2][]bpfBackend) {
	for _, b := range list {
		members := &families[familyOf(b.Addr())]
		*members = append(*members, bpfBackend{Addr: toAddr(b.Addr()), Port: toPort(b.Port())})
	}
	word := func(b bpfBackend, at int) uint64 { return binary.NativeEndian.Uint64(b.Addr.Bytes[at:]) }
	for family, members := range families {
		slices.SortFunc(members, func(a, b bpfBackend) int {
			return cmp.Or(cmp.Compare(word(a, 0), word(b, 0)), cmp.Compare(word(a, 8), word(b, 8)),
				cmp.Compare(a.Port, b.Port))
		})
		families[family] = slices.Compact(members)
	}
	return families
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
