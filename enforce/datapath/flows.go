package datapath

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/signet-cni/signet/enforce/policy"
	"github.com/signet-cni/signet/identity"
)

// closedAfter is how long a closing TCP connection must be silent to have
// ended. Its entry stays longer: a late packet still belongs to it.
const closedAfter = 5 * time.Second

// FlowCount is what one end of a flow sent. A packet of segmentation offload
// counts as the packets on the wire that it stands for, its headers once.
type FlowCount struct {
	Packets, Bytes uint64 // bytes include the IP headers
}

// Flow is an entry of the flow table, as it was last seen.
type Flow struct {
	Src, Dst     netip.AddrPort // who opened it, and towards whom
	Service      netip.AddrPort // what the client asked for, if that was a Service
	Protocol     uint8
	SrcIdentity  identity.ID
	DstIdentity  identity.ID // Unknown where only the receiver knows
	Revision     uint32      // under which it was last judged
	Judged       bool        // here; else by the receiving node
	Opened, Seen time.Time   // first and last packet
	Sent         FlowCount   // by Src
	Answered     FlowCount   // by Dst
}

// FlowCollector finds the flows that have ended. It belongs to one goroutine.
type FlowCollector struct {
	flows *ebpf.Map
	told  map[bpfFlowKey]uint64 // closed connections that were told, and when they were opened
	now   func() (time.Time, uint64, error)
}

// FlowCollector makes a collector, of which there must be one.
func (d *Datapath) FlowCollector() *FlowCollector {
	return &FlowCollector{flows: d.objs.Flows, told: map[bpfFlowKey]uint64{}, now: coarseNow}
}

// Limit is how many flows the table holds at most.
func (c *FlowCollector) Limit() int { return int(c.flows.MaxEntries()) }

// Collect removes the entries that speak for no packet any more, and gives the
// flows that have ended since it was last called, and how many entries are
// left. A connection whose end was seen is told after 5 s without a packet,
// every other flow when its idle time is over. What a full table pushed out is
// never told.
func (c *FlowCollector) Collect() (ended []Flow, left int, err error) {
	wall, mono, err := c.now()
	if err != nil {
		return nil, 0, err
	}
	told := map[bpfFlowKey]uint64{}
	err = eachBatch(c.flows, func(keys []bpfFlowKey, values []bpfFlow) error {
		for n, key := range keys {
			flow := values[n]
			idle := time.Duration(int64(mono - flow.Seen))
			expired := idle > idleLimit(key.Protocol, flow.Flags)
			if !expired {
				left++
			} else if err := c.remove(key, flow); err != nil {
				return err
			}
			if !has(flow, bpfFlowFlagsFLOW_SERVICE) && (expired || closed(flow, idle)) {
				if c.told[key] != flow.Opened {
					ended = append(ended, toFlow(key, flow, wall, mono))
				}
				if !expired {
					told[key] = flow.Opened
				}
			}
		}
		return nil
	})
	if err != nil {
		return ended, left, fmt.Errorf("read the flow table: %w", err)
	}
	c.told = told
	return ended, left, nil
}

// remove deletes an expired entry, unless a new flow has taken its place.
func (c *FlowCollector) remove(key bpfFlowKey, old bpfFlow) error {
	var now bpfFlow
	err := c.flows.Lookup(key, &now)
	if err == nil && now.Seen == old.Seen {
		err = c.flows.Delete(key)
	}
	if errors.Is(err, ebpf.ErrKeyNotExist) {
		return nil
	}
	return err
}

func has(flow bpfFlow, flag bpfFlowFlags) bool { return flow.Flags&uint8(flag) != 0 }

func closed(flow bpfFlow, idle time.Duration) bool {
	return has(flow, bpfFlowFlagsFLOW_CLOSING) && idle > closedAfter
}

// idleLimit is idle_limit of flow.h.
func idleLimit(protocol, flags uint8) time.Duration {
	seconds := bpfIdleSecondsIDLE_OTHER
	flow := bpfFlow{Flags: flags}
	switch {
	case protocol == uint8(policy.TCP):
		seconds = bpfIdleSecondsIDLE_TCP_OTHER
		open := has(flow, bpfFlowFlagsFLOW_ANSWERED) && !has(flow, bpfFlowFlagsFLOW_CLOSING)
		if open || has(flow, bpfFlowFlagsFLOW_SERVICE) {
			seconds = bpfIdleSecondsIDLE_TCP_ESTABLISHED
		}
	case protocol == uint8(policy.UDP):
		seconds = bpfIdleSecondsIDLE_UDP
	case protocol == unix.IPPROTO_ICMP, protocol == unix.IPPROTO_ICMPV6:
		seconds = bpfIdleSecondsIDLE_ICMP
	}
	return time.Duration(seconds) * time.Second
}

func toFlow(key bpfFlowKey, flow bpfFlow, wall time.Time, mono uint64) Flow {
	low, high := fromAddrPort(key.Low, key.LowPort), fromAddrPort(key.High, key.HighPort)
	if !has(flow, bpfFlowFlagsFLOW_LOW_OPENED) {
		low, high = high, low
	}
	at := func(ns uint64) time.Time { return wall.Add(-time.Duration(int64(mono - ns))) }
	f := Flow{
		Src: low, Dst: high, Protocol: key.Protocol, Revision: flow.Revision,
		SrcIdentity: identity.ID(flow.SrcIdentity), DstIdentity: identity.ID(flow.DstIdentity),
		Judged: has(flow, bpfFlowFlagsFLOW_ADMITTED), Opened: at(flow.Opened), Seen: at(flow.Seen),
		Sent: FlowCount{flow.Packets[0], flow.Bytes[0]}, Answered: FlowCount{flow.Packets[1], flow.Bytes[1]},
	}
	if has(flow, bpfFlowFlagsFLOW_TRANSLATED) {
		f.Service = fromAddrPort(flow.NatAddr, flow.NatPort)
	}
	return f
}

// coarseNow gives the same moment by the wall clock and by the programs' clock.
func coarseNow() (time.Time, uint64, error) {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC_COARSE, &now); err != nil {
		return time.Time{}, 0, fmt.Errorf("read the monotonic clock: %w", err)
	}
	return time.Now(), uint64(now.Nano()), nil
}
