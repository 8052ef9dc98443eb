package datapath

import (
	"encoding/binary"
	"errors"
	"net/netip"
)

// endpointSlots is the array in which programs find an endpoint without a
// hash. It holds nothing that the endpoints' map does not, and what has no slot
// of its own is found there.
//
// An array's entry is written in place, while programs read it. So what is in
// force is never written over: it is vacated, which is one word; when no
// program can still be reading it, it is filled; and only then it is in force.
type endpointSlots struct {
	*table[uint32, bpfEndpointSlot]
}

// restore puts the slots in line with the endpoints that an earlier agent left.
func (s endpointSlots) restore(endpoints map[bpfAddr]bpfEndpoint) error {
	if err := s.read(); err != nil {
		return err
	}
	for _, slot := range s.known {
		if known, ok := endpoints[slot.Addr]; slot.Live != 0 && (!ok || known != slot.Endpoint) {
			if err := s.vacate(slot.Addr); err != nil {
				return err
			}
		}
	}
	if s.takeFreed() {
		quiesce()
	}
	var errs []error
	for addr, ep := range endpoints {
		errs = append(errs, s.occupy(addr, ep))
	}
	s.takeFreed() // nobody read what was filled
	return errors.Join(errs...)
}

// vacate takes the endpoint at addr out of its slot, if it has one. Before the
// slot is filled again no program may be running that ran before.
func (s endpointSlots) vacate(addr bpfAddr) error {
	slot := s.known[slotOf(addr)]
	if slot.Live == 0 || slot.Addr != addr {
		return nil
	}
	slot.Live = 0
	return s.set(slotOf(addr), slot)
}

// occupy gives ep the slot of addr if it is vacant.
func (s endpointSlots) occupy(addr bpfAddr, ep bpfEndpoint) error {
	if s.taken(addr) {
		return nil
	}
	slot := bpfEndpointSlot{Addr: addr, Endpoint: ep}
	if err := s.set(slotOf(addr), slot); err != nil {
		return err
	}
	slot.Live = 1
	return s.set(slotOf(addr), slot)
}

// taken reports whether the slot of addr is not vacant, whoever has it.
func (s endpointSlots) taken(addr bpfAddr) bool { return s.known[slotOf(addr)].Live != 0 }

// slotOf is endpoint_slot of deliver.h.
func slotOf(addr bpfAddr) uint32 {
	const half = uint32(bpfEndpointLimitsENDPOINT_SLOTS) / 2
	slot := binary.BigEndian.Uint32(addr.Bytes[12:]) & (half - 1)
	if netip.AddrFrom16(addr.Bytes).Is4In6() {
		slot |= half
	}
	return slot
}
