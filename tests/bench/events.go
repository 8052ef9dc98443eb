package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/signet-cni/signet/enforce/datapath"
	"github.com/signet-cni/signet/identity"
	"github.com/signet-cni/signet/internal/api"
	"github.com/signet-cni/signet/internal/metrics"
	"github.com/signet-cni/signet/tests/bench/measure"
	"github.com/signet-cni/signet/tests/bench/report"
	"github.com/signet-cni/signet/tests/netns/harness"
)

const (
	// flowRate is how many flows begin in a second.
	flowRate = 10_000
	// leastRate is how many of them have to be told for a figure to count.
	leastRate = 9_500
	fullTime  = 10 * time.Second // for the ring to be full, once nobody reads
)

// measureEvents tells what events cost: TCP between nodes while 10,000 flows a
// second begin on the sending node, with all of them told, and with the ring
// full, so that none is. The flows themselves cost the same in both.
func measureEvents(t *lab) ([]report.Row, error) {
	p := newPods(t)
	storm := startStorm(&p.client.Host, &p.near.Host)
	tcp := throughput(&p.client.Host, &p.far.Host, 1)
	node := p.Nodes[0].Datapath
	told := func() (measure.Sample, error) { return withEvents(node, tcp) }
	untold := func() (measure.Sample, error) {
		if err := fillRing(node); err != nil {
			return measure.Sample{}, err
		}
		return storm.during(tcp)
	}
	rows, err := measure.Comparison{
		Metrics: []measure.Metric{{Name: "events", Unit: "Gbit/s", Target: report.Target{AtLeast: 0.97}}},
		Against: "the same flows, none of them told", Effort: t.effort.Times(throughputRounds),
		Signet: told, Base: untold,
	}.Run(t.log)
	return rows, errors.Join(err, storm.stop())
}

// fillRing waits until the ring takes no more events.
func fillRing(node *datapath.Datapath) error {
	before, err := node.EventLoss()
	if err != nil {
		return err
	}
	for end := time.Now().Add(fullTime); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		now, err := node.EventLoss()
		if err != nil {
			return err
		}
		if now.Lost > before.Lost {
			return nil
		}
	}
	return fmt.Errorf("the ring is not full after %v: nothing begins", fullTime)
}

// withEvents measures while events are read, named, counted and kept, as the
// agent does.
func withEvents(node *datapath.Datapath, tcp measure.Side) (measure.Sample, error) {
	events, err := node.Events()
	if err != nil {
		return measure.Sample{}, err
	}
	var told atomic.Int64
	done := make(chan error, 1)
	go func() { done <- tell(events, &told) }()
	time.Sleep(warmUp) // what lay in the ring
	began, before := time.Now(), told.Load()
	sample, err := tcp()
	rate := float64(told.Load()-before) / time.Since(began).Seconds()
	err = errors.Join(err, events.Close(), <-done)
	if err == nil && rate < leastRate {
		err = fmt.Errorf("%.0f events a second were told, want %d", rate, flowRate)
	}
	return sample, err
}

// tell does with events what the agent does.
func tell(events *datapath.Events, told *atomic.Int64) error {
	names := api.Names{
		Node:    "bench",
		Set:     func(identity.ID) (identity.Set, bool) { return identity.Set{Namespace: "test"}, true },
		Pod:     func(netip.Addr) (api.Endpoint, bool) { return api.Endpoint{}, false },
		Service: func(uint8, netip.AddrPort) string { return "" },
	}
	log, counts := api.NewFlowLog(api.DefaultFlows), metrics.New(nil)
	for {
		e, err := events.Next()
		if errors.Is(err, os.ErrClosed) {
			return nil
		}
		if err != nil {
			return err
		}
		flow := names.Enrich(api.Event{
			Time: e.Time, Hook: e.Hook.String(), Verdict: e.Verdict.String(), Revision: e.Revision, Protocol: e.Protocol,
			Src: e.Src, Dst: e.Dst, SrcIdentity: e.SrcIdentity, DstIdentity: e.DstIdentity, Bytes: e.Length,
		})
		counts.Count(metrics.Verdict{Direction: api.Ingress, Verdict: flow.Verdict, Namespace: flow.Dst.Namespace})
		log.Append(flow)
		told.Add(1)
	}
}

// storm is flows that begin, one datagram each.
type storm struct {
	begun atomic.Int64
	end   context.CancelFunc
	done  chan error
}

// A socket has a flow for each port that it sends to; so many last for minutes,
// longer than a flow is remembered.
const (
	stormSockets = 32
	firstPort    = 1024
	stormPorts   = 60000
)

// startStorm lets flowRate flows begin a second, from one pod to another of the
// same node.
func startStorm(from, to *harness.Host) *storm {
	ctx, cancel := context.WithCancel(context.Background())
	s := &storm{end: cancel, done: make(chan error, 1)}
	var sockets []*net.UDPConn
	for range stormSockets {
		sockets = append(sockets, from.UDP(0))
	}
	go func() {
		s.done <- s.run(ctx, func(n int64) error {
			at := netip.AddrPortFrom(to.Addr, uint16(firstPort+n%stormPorts))
			_, err := sockets[n/stormPorts%stormSockets].WriteToUDPAddrPort([]byte{0}, at)
			if errors.Is(err, unix.ECONNREFUSED) { // nobody listens there
				return nil
			}
			return err
		})
	}()
	return s
}

// run keeps to the rate: what a late tick missed comes with the next.
func (s *storm) run(ctx context.Context, begin func(int64) error) error {
	started := time.Now()
	ticker := time.NewTicker(time.Millisecond)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		due := int64(time.Since(started).Seconds() * flowRate)
		for n := s.begun.Load(); n < due; n++ {
			if err := begin(n); err != nil {
				return err
			}
			s.begun.Store(n + 1)
		}
	}
}

// during measures, and sees that enough flows began meanwhile.
func (s *storm) during(tcp measure.Side) (measure.Sample, error) {
	began, before := time.Now(), s.begun.Load()
	sample, err := tcp()
	if rate := float64(s.begun.Load()-before) / time.Since(began).Seconds(); err == nil && rate < leastRate {
		err = fmt.Errorf("%.0f flows began a second, want %d", rate, flowRate)
	}
	return sample, err
}

// stop tells what kept flows from beginning.
func (s *storm) stop() error {
	s.end()
	return <-s.done
}
