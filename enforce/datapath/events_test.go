package datapath

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cilium/ebpf/ringbuf"
)

// fakeRing is a ring into which an event comes at each of times. It counts how
// often its reader had to be woken.
type fakeRing struct {
	times  []time.Time
	wakes  int
	closed chan struct{}
}

func (r *fakeRing) ReadInto(record *ringbuf.Record) error {
	if len(r.times) == 0 {
		<-r.closed
		return ringbuf.ErrClosed
	}
	if wait := time.Until(r.times[0]); wait > 0 {
		r.wakes++
		time.Sleep(wait)
	}
	r.times = r.times[1:]
	record.Remaining = 0
	if len(r.times) > 0 && !r.times[0].After(time.Now()) {
		record.Remaining = 96
	}
	record.RawSample = make([]byte, 88)
	return nil
}

func (r *fakeRing) Close() error {
	close(r.closed)
	return nil
}

// A reader of 10,000 events a second is woken for a few of them, and every event
// reaches it within gatherTime; one after a silence at once.
func TestEventsGather(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const count, every = 10_000, 100 * time.Microsecond
		ring := &fakeRing{closed: make(chan struct{})}
		for i := range count {
			ring.times = append(ring.times, time.Now().Add(time.Duration(i+1)*every))
		}
		lone := time.Now().Add((count+1)*every + time.Second)
		ring.times = append(ring.times, lone)
		due := ring.times
		events := newEvents(ring, time.Now())
		for i := range count {
			if _, err := events.Next(); err != nil {
				t.Fatal(err)
			}
			if late := time.Since(due[i]); late > gatherTime {
				t.Fatalf("event %d came %v late", i, late)
			}
		}
		if most := int(count*every/gatherTime) + 1; ring.wakes > most {
			t.Errorf("woken %d times for %d events, want %d at most", ring.wakes, count, most)
		}
		if _, err := events.Next(); err != nil || !time.Now().Equal(lone) {
			t.Errorf("the event after a silence: %v after it came, %v", time.Since(lone), err)
		}
		if err := errors.Join(events.Close(), events.Close()); err != nil {
			t.Error(err)
		}
		if _, err := events.Next(); !errors.Is(err, os.ErrClosed) {
			t.Errorf("after Close: %v", err)
		}
	})
}

// Close ends a reader that lets events gather.
func TestEventsCloseWhileGathering(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ring := &fakeRing{times: []time.Time{time.Now()}, closed: make(chan struct{})}
		events := newEvents(ring, time.Now())
		if _, err := events.Next(); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		time.AfterFunc(time.Millisecond, func() { _ = events.Close() })
		if _, err := events.Next(); !errors.Is(err, os.ErrClosed) || time.Since(began) != time.Millisecond {
			t.Errorf("after %v: %v", time.Since(began), err)
		}
	})
}

func TestDecodeEvent(t *testing.T) {
	boot := time.Unix(1_700_000_000, 0)
	raw := make([]byte, 96)
	binary.NativeEndian.PutUint64(raw, uint64(time.Second))
	copy(raw[8:], netip.MustParseAddr("::ffff:10.0.0.1").AsSlice())
	copy(raw[24:], netip.MustParseAddr("fd00::2").AsSlice())
	binary.BigEndian.PutUint16(raw[56:], 1234)
	binary.BigEndian.PutUint16(raw[58:], 80)
	raw[62], raw[63], raw[64] = 6, byte(Dropped), byte(bpfReasonREASON_POLICY_INGRESS)
	binary.NativeEndian.PutUint32(raw[68:], 4711)
	got, err := newEvents(nil, boot).decode(raw)
	want := Event{
		Time: boot.Add(time.Second), Src: netip.MustParseAddrPort("10.0.0.1:1234"), Dst: netip.MustParseAddrPort("[fd00::2]:80"),
		Protocol: 6, Verdict: Dropped, Reason: Reason(bpfReasonREASON_POLICY_INGRESS), SrcIdentity: 4711,
	}
	if err != nil || got != want {
		t.Errorf("%+v, %v, want %+v", got, err, want)
	}
	if _, err := newEvents(nil, boot).decode(raw[:80]); err == nil {
		t.Error("an event that is too short is decoded")
	}
}
