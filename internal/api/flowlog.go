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
	mu    sync.Mutex
	ring  []Flow
	next  uint64        // number of the next flow; the ring holds the ones below it
	grown chan struct{} // closed, and made anew, when somebody waits and a flow comes
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
	if l.grown != nil {
		close(l.grown)
		l.grown = nil
	}
}

// Read gives a reader that begins with the oldest flow kept.
func (l *FlowLog) Read() *FlowReader {
	l.mu.Lock()
	defer l.mu.Unlock()
	return &FlowReader{log: l, next: l.oldest()}
}

// oldest gives the number of the oldest flow kept. Called with the lock held.
func (l *FlowLog) oldest() uint64 {
	return l.next - min(l.next, uint64(len(l.ring)))
}

// FlowReader reads a FlowLog. It belongs to one goroutine and needs no end.
type FlowReader struct {
	log  *FlowLog
	next uint64
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
	grown := r.log.wait(r.next)
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
// nil if it has.
func (l *FlowLog) wait(number uint64) <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	if number < l.next {
		return nil
	}
	if l.grown == nil {
		l.grown = make(chan struct{})
	}
	return l.grown
}
