package datapath

import (
	"errors"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cilium/ebpf"
)

// What is freed while a wait runs needs one of its own, whoever else waits.
func TestGrace(t *testing.T) {
	var waits atomic.Int32
	step := make(chan struct{})
	g := grace{wait: func() { waits.Add(1); <-step }}
	g.end() // nothing was freed
	g.begin()
	for range 3 {
		g.begin()
	}
	ended := make(chan struct{})
	go func() { g.end(); close(ended) }()
	step <- struct{}{}
	select {
	case <-ended:
		t.Fatal("what was freed during a wait is taken for unread when that ends")
	case step <- struct{}{}:
	}
	<-ended
	if n := waits.Load(); n != 2 {
		t.Errorf("%d waits, want 2: callers share one", n)
	}
}

// No entry is written into the memory of one that a program may still read, and
// nobody who removes one has to wait for that.
func TestEndpointWaitsForGrace(t *testing.T) {
	n := newNode(t)
	var waits atomic.Int32
	step := make(chan struct{})
	n.readers.wait = func() { waits.Add(1); <-step }
	must(t, n.SetEndpoint(podA()))
	ep := podA()
	ep.Addr = netip.MustParseAddr("198.18.1.77")
	must(t, n.SetEndpoint(ep))
	must(t, n.DeleteEndpoint(ep.Addr))
	must(t, n.DeleteEndpoint(ep.Addr)) // it is gone: nothing is removed
	same := make(chan error, 1)
	go func() { same <- n.SetEndpoint(podA()) }()
	select {
	case err := <-same:
		must(t, err)
	case <-time.After(5 * time.Second):
		close(step)
		t.Fatal("an endpoint that is in force waits for what others have freed")
	}
	set := make(chan error, 1)
	go func() { set <- n.SetEndpoint(ep) }()
	select {
	case <-set:
		t.Error("the endpoint was set while programs may read the one before")
	case <-time.After(50 * time.Millisecond):
	}
	var written bpfEndpoint
	if err := n.objs.Endpoints.Lookup(toAddr(ep.Addr), &written); !errors.Is(err, ebpf.ErrKeyNotExist) {
		t.Errorf("the entry is written while programs may read the one before: %v", err)
	}
	close(step)
	must(t, <-set)
	must(t, n.SetEndpoint(ep)) // as it is: nothing is written
	if got := waits.Load(); got != 1 {
		t.Errorf("%d waits after a removal, want 1", got)
	}
	ep.Identity++
	must(t, n.SetEndpoint(ep))
	if got := waits.Load(); got != 2 {
		t.Errorf("%d waits after an entry was replaced, too, want 2", got)
	}
}
