package datapath

import "sync"

// grace knows whether programs may still read map entries that were replaced or
// removed: the kernel gives the memory of such an entry to the next one at once.
// The zero value waits for RCU grace periods. It is safe for concurrent use.
type grace struct {
	wait func() // nil: quiesce

	mu      sync.Mutex
	pending bool          // entries were freed after the running wait began
	running chan struct{} // closed when the running wait ends; nil: none runs
}

// begin starts waiting for whoever reads what was freed up to now; callers that
// come during a wait share the next one.
func (g *grace) begin() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.running != nil {
		g.pending = true
		return
	}
	g.start()
}

// start begins a wait. g.mu is held.
func (g *grace) start() {
	wait := g.wait
	if wait == nil {
		wait = quiesce
	}
	done := make(chan struct{})
	g.running, g.pending = done, false
	go func() {
		wait()
		g.mu.Lock()
		defer g.mu.Unlock()
		g.running = nil
		if g.pending {
			g.start()
		}
		close(done)
	}()
}

// end returns when nobody reads any more what was freed before the call.
func (g *grace) end() {
	for {
		g.mu.Lock()
		running := g.running
		g.mu.Unlock()
		if running == nil {
			return
		}
		<-running
	}
}
