package api

import (
	"context"
	"sync"
)

// DefaultFlows is how many flows a node keeps: a few MiB.
const DefaultFlows = 8192

// FlowLog keeps the latest flows of a node for any number of readers. A reader
// is a position in it: one that is too slow loses flows and learns how many,
// and never holds up Append. It is safe for concurrent use.
type FlowLog struct {
	mu     sync.Mutex
	ring   []Flow
	next   uint64        // number of the next flow; the ring holds the ones below it
	grown  chan struct{} // closed, and made anew, when somebody waits and a flow comes
	unsent Unsent        // since the node started
}

// NewFlowLog makes a log that keeps the given number of flows, at least one.
func NewFlowLog(size int) *FlowLog {
	return &FlowLog{ring: make([]Flow, max(size, 1))}
}

// Append adds a flow, in place of the oldest one if the log is full.
func (l *FlowLog) Append(f Flow) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ring[l.next%uint64(len(l.ring))] = f
	l.next++
	l.wake()
}

// wake ends every wait. Called with the lock held.
func (l *FlowLog) wake() {
	if l.grown != nil {
		close(l.grown)
		l.grown = nil
	}
}

// Unsent takes in how many verdicts the kernel has not sent since the node
// started.
func (l *FlowLog) Unsent(total Unsent) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.unsent != total {
		l.unsent = total
		l.wake()
	}
}

// Read gives a reader that begins with the oldest flow kept.
func (l *FlowLog) Read() *FlowReader {
	l.mu.Lock()
	defer l.mu.Unlock()
	return &FlowReader{log: l, next: l.oldest(), unsent: l.unsent}
}

// oldest gives the number of the oldest flow kept. Called with the lock held.
func (l *FlowLog) oldest() uint64 {
	return l.next - min(l.next, uint64(len(l.ring)))
}

// FlowReader reads a FlowLog. It belongs to one goroutine and needs no end.
type FlowReader struct {
	log    *FlowLog
	next   uint64
	unsent Unsent // told so far
}

// Unsent gives how many verdicts the kernel has not sent since the last call,
// or since the reader was made.
func (r *FlowReader) Unsent() Unsent {
	r.log.mu.Lock()
	defer r.log.mu.Unlock()
	total := r.log.unsent
	news := Unsent{RingFull: total.RingFull - r.unsent.RingFull, Suppressed: total.Suppressed - r.unsent.Suppressed}
	r.unsent = total
	return news
}

// Poll copies the next flows into buf, without waiting, and gives how many
// they are and how many were lost before them.
func (r *FlowReader) Poll(buf []Flow) (n int, lost uint64) {
	r.log.mu.Lock()
	defer r.log.mu.Unlock()
	if oldest := r.log.oldest(); r.next < oldest {
		lost = oldest - r.next
		r.next = oldest
	}
	for n < len(buf) && r.next < r.log.next {
		buf[n] = r.log.ring[r.next%uint64(len(r.log.ring))]
		n++
		r.next++
	}
	return n, lost
}

// Wait returns when there is something to Poll, or with ctx's error.
func (r *FlowReader) Wait(ctx context.Context) error {
	grown := r.log.wait(r.next, r.unsent)
	if grown == nil {
		return ctx.Err()
	}
	select {
	case <-grown:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// wait gives a channel that is closed when the flow of that number has come,
// or more is unsent than was told; nil if that is so.
func (l *FlowLog) wait(number uint64, told Unsent) <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	if number < l.next || l.unsent != told {
		return nil
	}
	if l.grown == nil {
		l.grown = make(chan struct{})
	}
	return l.grown
}
