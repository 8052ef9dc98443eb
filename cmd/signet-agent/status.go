package main

import (
	"context"
	"maps"
	"net/netip"
	"path/filepath"
	"slices"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/signet-cni/signet/enforce/policy"
	"github.com/signet-cni/signet/identity"
	"github.com/signet-cni/signet/internal/api"
	"github.com/signet-cni/signet/internal/guard"
	"github.com/signet-cni/signet/internal/unixsocket"
)

// status is what the agent tells of itself (api.Source), from its first
// moment on: while it starts, why it has not yet.
type status struct {
	agent *agent
	flows *api.FlowLog

	flowTable flowTable

	mu      sync.Mutex
	pending error // why start has not ended; nil: it has
}

func newStatus(a *agent) *status {
	return &status{agent: a, flows: api.NewFlowLog(api.DefaultFlows), pending: errStarting}
}

// starting notes what start waits for or failed at.
func (s *status) starting(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pending = err
}

// started notes that every part is there.
func (s *status) started() { s.starting(nil) }

// startProblem is why the agent has not started, nil if it has.
func (s *status) startProblem() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.pending
}

// Flows is the log of this node's verdicts.
func (s *status) Flows() *api.FlowLog { return s.flows }

// Status sums up the node.
func (s *status) Status() api.Status {
	a := s.agent
	st := api.Status{Node: a.cfg.nodeName, Version: version, Kernel: kernelRelease()}
	if err := s.startProblem(); err != nil {
		st.Problems = []string{"start: " + err.Error()}
		st.Subsystems = []api.Subsystem{failing("start", err.Error())}
		return st
	}
	st.Problems = a.loops.problems()
	st.Ready = len(st.Problems) == 0
	mode := a.auditMode()
	st.Audit = api.AuditMode{Everywhere: mode.everywhere, Namespaces: mode.namespaces}
	if why := a.tunnel.current().noIPv6; why != "" {
		st.Problems = append(st.Problems, why)
	}
	st.Device = a.tunnel.status()
	st.Policy = a.rules.status()
	st.Policy.Revision = a.datapath.Revision()
	st.Endpoints = len(a.pods.Endpoints())
	for _, w := range a.watcher.Status() {
		watch := api.Watch{Kind: string(w.Kind), Synced: w.Synced, Objects: w.Objects}
		if w.Error != nil {
			watch.Error = w.Error.Error()
		}
		st.Watches = append(st.Watches, watch)
	}
	st.Subsystems = s.subsystems(st.Watches)
	s.addCounters(&st)
	st.Maps = s.maps()
	return st
}

func (s *status) addCounters(st *api.Status) {
	drops, err := s.agent.datapath.Drops()
	if err != nil {
		st.Problems = append(st.Problems, err.Error())
	}
	st.Drops = map[string]api.Drop{}
	for reason, count := range drops {
		if count.Packets > 0 {
			st.Drops[reason.String()] = api.Drop{Packets: count.Packets, Bytes: count.Bytes, Text: reason.Text()}
		}
	}
	guarded, err := guard.Dropped()
	if err != nil {
		st.Problems = append(st.Problems, err.Error())
	}
	for reason, drop := range guarded {
		if drop.Packets > 0 {
			st.Drops[reason] = api.Drop(drop)
		}
	}
	loss, err := s.agent.datapath.EventLoss()
	if err != nil {
		st.Problems = append(st.Problems, err.Error())
	}
	unattested, err := s.agent.datapath.Unattested()
	if err != nil {
		st.Problems = append(st.Problems, err.Error())
	}
	st.Attested = api.Attested{
		Mode:    s.agent.cfg.settings.current().attestation.String(),
		Packets: unattested.Packets, Bytes: unattested.Bytes,
	}
	st.EventLoss = api.EventLoss{Suppressed: loss.Suppressed, Lost: loss.Lost}
}

// Endpoints lists this node's pods.
func (s *status) Endpoints() []api.Endpoint {
	if s.startProblem() != nil {
		return nil
	}
	sets := s.agent.rules.snapshot()
	inForce := s.agent.datapath.Endpoints()
	var list []api.Endpoint
	for _, ep := range s.agent.pods.Endpoints() {
		id := inForce[ep.Addr].Identity
		list = append(list, api.Endpoint{
			Node: s.agent.cfg.nodeName, Namespace: ep.Namespace, Pod: ep.Pod,
			ContainerID: ep.ContainerID, Addr: ep.Addr, Addr6: ep.Addr6, IfName: ep.HostIfName, IfIndex: ep.HostIfIndex,
			Identity: id, NamespaceLabels: sets[id].NamespaceLabels, Labels: sets[id].PodLabels,
			Shaped: ep.Shaped,
		})
	}
	return list
}

// Services lists what the node translates.
func (s *status) Services() []api.Service {
	if s.startProblem() != nil {
		return nil
	}
	protocols := map[policy.Protocol]string{policy.TCP: "tcp", policy.UDP: "udp", policy.SCTP: "sctp"}
	services, _ := s.agent.watcher.Services()
	list := make([]api.Service, 0, len(services))
	for _, service := range services {
		one := api.Service{Namespace: service.Namespace, Name: service.Name, PortName: service.Port, Backends: service.Backends}
		for _, f := range service.Frontends {
			one.Protocol = protocols[f.Protocol]
			one.Frontends = append(one.Frontends, netip.AddrPortFrom(f.Addr, f.Port))
		}
		list = append(list, one)
	}
	return list
}

// localIdentities counts this node's pods, which have an IPv4 address each, by
// identity.
func (s *status) localIdentities() map[identity.ID]int {
	local := map[identity.ID]int{}
	for addr, ep := range s.agent.datapath.Endpoints() {
		if addr.Is4() {
			local[ep.Identity]++
		}
	}
	return local
}

// Identities lists what the policy in force knows.
func (s *status) Identities() []api.Identity {
	if s.startProblem() != nil {
		return nil
	}
	local := s.localIdentities()
	sets := s.agent.rules.snapshot()
	list := make([]api.Identity, 0, len(sets))
	for _, id := range slices.Sorted(maps.Keys(sets)) {
		list = append(list, api.NewIdentity(id, sets[id], local[id]))
	}
	return list
}

func kernelRelease() string {
	var uts unix.Utsname
	if err := unix.Uname(&uts); err != nil {
		return "unknown"
	}
	return unix.ByteSliceToString(uts.Release[:])
}

// serveAPI answers people on the node's socket until ctx ends; the channel
// then holds how that went.
func (a *agent) serveAPI(ctx context.Context) (<-chan error, error) {
	listener, err := unixsocket.Listen(filepath.Join(a.cfg.runDir, filepath.Base(api.SocketPath)), a.log)
	if err != nil {
		return nil, err
	}
	done := make(chan error, 1)
	go func() { done <- api.NewServer(a.status, a.log).Serve(ctx, listener) }()
	return done, nil
}
