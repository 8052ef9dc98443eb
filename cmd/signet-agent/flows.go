package main

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"sync/atomic"
	"time"

	"github.com/signet-cni/signet/enforce/datapath"
	"github.com/signet-cni/signet/enforce/policy"
	"github.com/signet-cni/signet/identity"
	"github.com/signet-cni/signet/internal/api"
	"github.com/signet-cni/signet/internal/kube"
	"github.com/signet-cni/signet/internal/metrics"
)

// namesInterval is how long names may lag behind; an event about a pod that
// is newer shows its address and identity all the same.
const namesInterval = time.Second

// flowReader turns the kernel's events into flows with names.
type flowReader struct {
	agent  *agent
	events *datapath.Events
	log    verdictLog
	names  atomic.Pointer[names]
}

// names is a snapshot of what addresses and numbers stand for.
type names struct {
	pods map[netip.Addr]api.Endpoint
	sets map[identity.ID]identity.Set
	// ports are the names of this node's pods' ports.
	ports map[portKey][]string
	// annotations say whose verdicts are logged.
	annotations kube.Annotations
}

// portKey is a port of a pod of this node.
type portKey struct {
	at       netip.AddrPort
	protocol uint8
}

func newFlowReader(a *agent) (*flowReader, error) {
	events, err := a.datapath.Events()
	if err != nil {
		return nil, err
	}
	r := &flowReader{agent: a, events: events, log: newVerdictLog(os.Stdout)}
	r.refresh()
	return r, nil
}

// run reads until ctx ends.
func (r *flowReader) run(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() { _ = r.events.Close() })
	defer stop()
	go r.keepNames(ctx)
	go r.collect(ctx)
	for {
		event, err := r.events.Next()
		if errors.Is(err, os.ErrClosed) {
			return nil
		}
		if err != nil {
			return err
		}
		flow := r.enrich(event)
		r.agent.metrics.Count(counted(&flow))
		r.agent.hits.count(&flow)
		r.log.write(ctx, &flow, r.names.Load().annotations)
		r.agent.status.flows.Append(flow)
	}
}

func (r *flowReader) keepNames(ctx context.Context) {
	ticker := time.NewTicker(namesInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			r.refresh()
			r.tellUnsent()
		}
	}
}

// tellUnsent lets the readers of flows know what they will not see.
func (r *flowReader) tellUnsent() {
	loss, err := r.agent.datapath.EventLoss()
	if err != nil {
		r.agent.log.Warn("lost flows are not counted", "error", err)
		return
	}
	r.agent.status.flows.Unsent(api.Unsent{RingFull: loss.Lost, Suppressed: loss.Suppressed})
}

func (r *flowReader) refresh() {
	next := &names{pods: map[netip.Addr]api.Endpoint{}, ports: map[portKey][]string{}, sets: r.agent.rules.snapshot()}
	for _, ep := range r.agent.status.Endpoints() {
		for _, addr := range ep.Addrs() {
			next.pods[addr] = ep
		}
	}
	for _, pod := range r.agent.watcher.LocalPods() {
		for _, addr := range pod.IPs {
			for _, p := range pod.Ports {
				key := portKey{netip.AddrPortFrom(addr, p.Port), uint8(p.Protocol)}
				next.ports[key] = append(next.ports[key], p.Name)
			}
		}
	}
	next.annotations, _ = r.agent.watcher.Annotations()
	r.names.Store(next)
}

func (r *flowReader) enrich(e datapath.Event) api.Flow { return r.lookup().Enrich(r.event(e)) }

func (r *flowReader) lookup() api.Names {
	known := r.names.Load()
	return api.Names{
		Node:    r.agent.cfg.nodeName,
		Set:     func(id identity.ID) (identity.Set, bool) { set, ok := known.sets[id]; return set, ok },
		Pod:     func(a netip.Addr) (api.Endpoint, bool) { ep, ok := known.pods[a]; return ep, ok },
		Service: r.agent.services.name,
	}
}

func (r *flowReader) event(e datapath.Event) api.Event {
	event := api.Event{
		Time: e.Time, Hook: e.Hook.String(), Verdict: e.Verdict.String(), Revision: e.Revision,
		Protocol: e.Protocol, TCPFlags: e.TCPFlags, Reply: e.Reply, Src: e.Src, Dst: e.Dst,
		Service: e.Service, SrcIdentity: e.SrcIdentity, DstIdentity: e.DstIdentity, Bytes: e.Length,
		DstPortNames: r.names.Load().ports[portKey{e.Dst, e.Protocol}],
		Policies:     r.agent.rules.history.parts(e, r.agent.datapath.PortNames),
		Unattested:   e.Unattested, Again: e.Again, Direction: directionOf(e),
	}
	if e.Verdict == datapath.Dropped || e.Verdict == datapath.Audited {
		event.Reason, event.ReasonText = e.Reason.String(), e.Reason.Text()
	}
	return event
}

// directionOf is that of the pod of this node, or, where a policy denied, of
// the pod whose policy it is.
func directionOf(e datapath.Event) string {
	outwards := e.Hook == datapath.FromPod || e.Hook == datapath.ToOverlay
	if direction, denied := deniedIn(e); denied {
		outwards = direction == policy.Egress
	}
	if outwards {
		return api.Egress
	}
	return api.Ingress
}

// counted is a flow as the metrics count it: as the pod of this node sees it,
// or, where a policy decided, the pod whose policy it is.
func counted(f *api.Flow) metrics.Verdict {
	v := metrics.Verdict{Direction: f.Direction, Verdict: f.Verdict, Reason: f.Reason, Namespace: f.Dst.Namespace}
	if f.Direction == api.Egress {
		v.Namespace = f.Src.Namespace
	}
	for _, p := range f.Policies {
		part := metrics.Policy{Namespace: p.Namespace, Name: p.Name, Direction: p.Direction, Verdict: api.Admitted}
		if len(p.Rules) == 0 {
			part.Verdict = "denied"
			if f.Verdict == api.Audited {
				part.Verdict = api.Audited
			}
		}
		v.Policies = append(v.Policies, part)
	}
	return v
}
