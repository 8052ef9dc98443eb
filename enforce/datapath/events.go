package datapath

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"sync"
	"time"
	"unsafe"

	"github.com/cilium/ebpf/ringbuf"
	"golang.org/x/sys/unix"

	"github.com/signet-cni/signet/identity"
)

// Verdict is what a hook decided.
type Verdict uint8

// The verdicts.
const (
	Admitted  = Verdict(bpfVerdictVERDICT_ADMITTED)
	Dropped   = Verdict(bpfVerdictVERDICT_DROPPED)
	Forwarded = Verdict(bpfVerdictVERDICT_FORWARDED) // the receiving node judges
	Audited   = Verdict(bpfVerdictVERDICT_AUDIT)     // admitted, although policy denies it
)

// String is the verdict's name.
func (v Verdict) String() string {
	switch v {
	case Admitted:
		return "admitted"
	case Dropped:
		return "dropped"
	case Forwarded:
		return "forwarded"
	case Audited:
		return "audit"
	}
	return fmt.Sprintf("verdict-%d", uint8(v))
}

// Where a packet can be judged.
const (
	FromPod     = Hook(bpfHookHOOK_FROM_POD)
	ToOverlay   = Hook(bpfHookHOOK_TO_OVERLAY)
	FromOverlay = Hook(bpfHookHOOK_FROM_OVERLAY)
	ToPod       = Hook(bpfHookHOOK_TO_POD)
)

// Hook is where a packet was judged.
type Hook uint8

var hooks = [...]string{
	bpfHookHOOK_FROM_POD: "from_pod", bpfHookHOOK_TO_OVERLAY: "to_overlay",
	bpfHookHOOK_FROM_OVERLAY: "from_overlay", bpfHookHOOK_TO_POD: "to_pod",
}

// String is the hook's name.
func (h Hook) String() string {
	if int(h) < len(hooks) && hooks[h] != "" {
		return hooks[h]
	}
	return fmt.Sprintf("hook-%d", uint8(h))
}

// Event is one verdict: the first packet of a flow, a flow judged again, or a
// drop.
type Event struct {
	Time        time.Time
	Src, Dst    netip.AddrPort // real ends, after Service translation
	Service     netip.AddrPort // what the client asked for, if that was a Service
	Protocol    uint8
	TCPFlags    uint8
	Reply       bool
	Verdict     Verdict
	Reason      Reason
	Hook        Hook
	SrcIdentity identity.ID
	DstIdentity identity.ID // Unknown where only the receiver knows
	Revision    uint32      // policy revision of the verdict
	Length      uint32      // bytes of the packet
	Unattested  bool        // SrcIdentity is not verified for the sending node
	Again       bool        // the flow was judged before, under another policy or identity
}

// gatherTime is how long the reader lets events gather once it has read all of
// them. The kernel wakes a reader for each event that finds the ring read to its
// end, which costs more than the event; a ring of 1 MiB has room for some 10,000.
const gatherTime = 5 * time.Millisecond

// eventRing is what Events needs of a ringbuf.Reader.
type eventRing interface {
	ReadInto(record *ringbuf.Record) error
	Close() error
}

// Events reads verdicts from the kernel's ring; there must be one reader.
type Events struct {
	ring   eventRing
	boot   time.Time // what monotonic zero was in wall-clock time
	record ringbuf.Record
	read   bool // to the ring's end
	closed chan struct{}
	close  func() error
}

// Events opens the ring.
func (d *Datapath) Events() (*Events, error) {
	ring, err := ringbuf.NewReader(d.objs.Events)
	if err != nil {
		return nil, fmt.Errorf("open the event ring: %w", err)
	}
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		return nil, errors.Join(fmt.Errorf("read the monotonic clock: %w", err), ring.Close())
	}
	return newEvents(ring, time.Now().Add(-time.Duration(now.Nano()))), nil
}

func newEvents(ring eventRing, boot time.Time) *Events {
	e := &Events{ring: ring, boot: boot, closed: make(chan struct{})}
	e.close = sync.OnceValue(func() error {
		close(e.closed)
		return ring.Close()
	})
	return e
}

// Next waits for an event. The first after a silence comes at once, what follows
// within gatherTime. After Close it gives os.ErrClosed.
func (e *Events) Next() (Event, error) {
	if e.read {
		select {
		case <-e.closed:
		case <-time.After(gatherTime):
		}
	}
	err := e.ring.ReadInto(&e.record)
	if errors.Is(err, ringbuf.ErrClosed) {
		return Event{}, os.ErrClosed
	}
	if err != nil {
		return Event{}, fmt.Errorf("read the event ring: %w", err)
	}
	e.read = e.record.Remaining == 0
	return e.decode(e.record.RawSample)
}

// Close ends a Next that waits.
func (e *Events) Close() error { return e.close() }

func (e *Events) decode(raw []byte) (Event, error) {
	var r bpfEvent
	if len(raw) < int(unsafe.Sizeof(r)) {
		return Event{}, fmt.Errorf("event of %d bytes, want %d", len(raw), unsafe.Sizeof(r))
	}
	copy(unsafe.Slice((*byte)(unsafe.Pointer(&r)), unsafe.Sizeof(r)), raw)
	return Event{
		Time: e.boot.Add(time.Duration(r.Time)),
		Src:  fromAddrPort(r.Src, r.SrcPort), Dst: fromAddrPort(r.Dst, r.DstPort),
		Service:  fromAddrPort(r.Service, r.ServicePort),
		Protocol: r.Protocol, TCPFlags: r.TcpFlags, Reply: r.Reply != 0,
		Verdict: Verdict(r.Verdict), Reason: Reason(r.Reason), Hook: Hook(r.Hook),
		SrcIdentity: identity.ID(r.SrcIdentity), DstIdentity: identity.ID(r.DstIdentity),
		Revision: r.Revision, Length: r.Length, Unattested: r.Unattested != 0, Again: r.Again != 0,
	}, nil
}

func fromAddrPort(a bpfAddr, port uint16) netip.AddrPort {
	if a == (bpfAddr{}) {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(fromAddr(a), toPort(port))
}
