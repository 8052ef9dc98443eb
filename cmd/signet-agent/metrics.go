package main

import (
	"context"
	"sync"
	"time"

	"github.com/signet-cni/signet/enforce/datapath"
	"github.com/signet-cni/signet/internal/api"
	"github.com/signet-cni/signet/internal/kube"
	"github.com/signet-cni/signet/internal/metrics"
)

// serveMetrics answers Prometheus until ctx ends. That it cannot is a problem
// that the status tells, and stops nothing else.
func (a *agent) serveMetrics(ctx context.Context) {
	if a.cfg.metrics == "" {
		return
	}
	if err := a.metrics.Serve(ctx, a.cfg.metrics, a.log); err != nil {
		a.log.Error("Prometheus gets no answer", "error", err)
		a.noMetrics.Store(&err)
	}
}

// stopwatch holds when the oldest of some changes was noticed.
type stopwatch struct {
	mu    sync.Mutex
	began time.Time
}

// begin notes a change, unless an older one waits. The zero time is none.
func (s *stopwatch) begin(at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.began.IsZero() || !at.IsZero() && at.Before(s.began) {
		s.began = at
	}
}

// take gives when the oldest change was noticed, zero if there is none, and
// forgets it.
func (s *stopwatch) take() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	began := s.began
	s.began = time.Time{}
	return began
}

// Snapshot implements metrics.Source.
func (s *status) Snapshot() metrics.Snapshot {
	st := s.Status()
	snap := metrics.Snapshot{
		Version: version, Ready: st.Ready, Started: s.startProblem() == nil,
		EventsSuppressed: st.EventLoss.Suppressed, EventsLost: st.EventLoss.Lost,
		Endpoints: st.Endpoints, Identities: st.Policy.Identities, Policies: st.Policy.Policies,
		Rows: st.Policy.Rows, Revision: st.Policy.Revision,
		Drops: map[string]metrics.Count{},
	}
	if !snap.Started {
		return snap
	}
	for _, reason := range datapath.Reasons() {
		snap.Drops[reason.String()] = metrics.Count{} // a first drop is an increase
	}
	for reason, drop := range st.Drops {
		snap.Drops[reason] = metrics.Count{Packets: drop.Packets, Bytes: drop.Bytes}
	}
	for _, p := range st.Device.Peers {
		snap.Peers = append(snap.Peers, metrics.Peer{Node: p.Node, Handshake: p.LastHandshake, Rx: p.Rx, Tx: p.Tx})
	}
	for _, w := range st.Watches {
		snap.Watches = append(snap.Watches, metrics.Watch{
			Kind: w.Kind, Synced: w.Synced, Failing: w.Error != "", Objects: w.Objects,
		})
	}
	snap.Largest = largest(s.agent.rules.snapshot())
	snap.LargestLimit = s.agent.cfg.settings.current().perNamespace
	snap.Unattested = metrics.Count{Packets: st.Attested.Packets, Bytes: st.Attested.Bytes}
	snap.Refused = len(s.agent.tunnel.current().Refused)
	snap.RefusedParts = refusedParts(s.agent.policyProblems())
	for _, m := range st.Maps {
		snap.Maps = append(snap.Maps, metrics.Map{Name: m.Name, Entries: m.Entries, Max: m.Max})
	}
	s.agent.loops.addStats(&snap)
	return snap
}

// refusedParts counts what of policies cannot be honoured.
func refusedParts(problems []kube.Problem) map[metrics.PolicyPart]int {
	parts := map[metrics.PolicyPart]int{}
	for _, p := range problems {
		parts[metrics.PolicyPart{Namespace: p.Namespace, Policy: p.Name, Reason: p.Reason}]++
	}
	return parts
}

// maps tells how full the kernel's tables are.
func (s *status) maps() []api.MapUsage {
	usage, err := s.agent.datapath.Usage()
	if err != nil {
		s.agent.log.Warn("the use of kernel tables is not known", "error", err)
	}
	table := &s.flowTable
	list := []api.MapUsage{{Name: "flows", Entries: int(table.entries.Load()), Max: int(table.limit.Load())}}
	for _, u := range usage {
		list = append(list, api.MapUsage{Name: u.Name, Entries: u.Entries, Max: u.Max})
	}
	return list
}

func (l *loops) addStats(snap *metrics.Snapshot) {
	all := l.named()
	all["events"], all["publish"] = l.report, l.publish
	for name, loop := range all {
		stats := loop.Stats()
		snap.Loops = append(snap.Loops, metrics.Loop{
			Name: name, Runs: stats.Runs, Failures: stats.Failures, Success: stats.Success,
		})
	}
}
