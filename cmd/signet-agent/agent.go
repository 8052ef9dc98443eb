package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/signet-cni/signet/cni"
	"github.com/signet-cni/signet/enforce/datapath"
	"github.com/signet-cni/signet/identity"
	"github.com/signet-cni/signet/internal/kube"
	"github.com/signet-cni/signet/internal/metrics"
)

// agent holds the parts. Each loop owns what it keeps up to date and only
// reads the rest; data flows from the watcher to the kernel.
type agent struct {
	cfg      config
	log      *slog.Logger
	status   *status
	client   *kube.Client
	watcher  *kube.Watcher
	datapath *datapath.Datapath
	reporter *kube.Reporter
	tunnel   *tunnel
	rules    *rules
	attest   *attest
	elected  atomic.Bool // this node collects
	pods     *cni.Manager
	loops    *loops
	metrics  *metrics.Metrics
	// propagation is when the oldest change was noticed that is not in force.
	propagation stopwatch
	services    serviceNames
	hits        *hits
	// ended takes why the agent has to start anew.
	ended chan error
	// noMetrics is why Prometheus gets no answer, nil if it does or shall not.
	noMetrics atomic.Pointer[error]
}

// runAgent brings the parts up in the order in which they need each other. An
// error leaves the agent unready and, on a node that never had Signet, the
// pods closed; what an earlier agent left in the kernel stays in force.
func runAgent(ctx context.Context, cfg config, log *slog.Logger) error {
	ctx, cancel := context.WithCancel(ctx)
	a := &agent{cfg: cfg, log: log, ended: make(chan error, 1)}
	a.status = newStatus(a)
	a.metrics = metrics.New(a.status, cni.Operations...)
	a.hits = newHits()
	a.loops = newLoops(a)
	cfg.settings.changed = a.loops.configured
	served, err := a.serveAPI(ctx)
	if err != nil {
		cancel()
		return err
	}
	go a.serveMetrics(ctx)
	if err = a.start(ctx); err == nil {
		a.status.started()
		err = a.serve(ctx)
	}
	cancel()
	return errors.Join(err, <-served)
}

// start takes over or creates everything that the loops keep up to date.
func (a *agent) start(ctx context.Context) error {
	if err := preflight(a.cfg); err != nil {
		return err
	}
	if err := a.setGuard(); err != nil { // needs nothing of the API server
		return err
	}
	if err := a.watch(ctx); err != nil {
		return err
	}
	tunnel, err := newTunnel(a)
	if err != nil {
		return err
	}
	a.tunnel = tunnel
	if err := a.tunnel.open(ctx); err != nil {
		return fmt.Errorf("tunnel: %w", err)
	}
	if err := a.openDatapath(); err != nil {
		return fmt.Errorf("datapath: %w", err)
	}
	a.tunnel.drive(a.datapath)
	if err := a.tunnel.inherit(); err != nil {
		return fmt.Errorf("tunnel: %w", err)
	}
	return a.openPods(ctx)
}

// watch connects to the API and waits for the first list of everything.
func (a *agent) watch(ctx context.Context) error {
	client, err := kube.Connect(a.cfg.kubeconfig, a.cfg.nodeName, kube.NodeRate, a.log)
	if err != nil {
		return err
	}
	a.client = client
	a.reporter = kube.NewReporter(client)
	a.watcher, err = kube.NewWatcher(client, kube.Config{Changed: a.loops.changed, Prefix: a.prefixOf})
	if err != nil {
		return err
	}
	go a.watcher.Run(ctx)
	return a.waitSynced(ctx)
}

// waitSynced says every few seconds what it waits for.
func (a *agent) waitSynced(ctx context.Context) error {
	for {
		wait, cancel := context.WithTimeout(ctx, 10*time.Second)
		err := a.watcher.WaitSynced(wait)
		cancel()
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		a.status.starting(err)
		a.log.Warn("waiting for the API server", "error", err)
	}
}

func (a *agent) openDatapath() error {
	dp, err := datapath.Open(datapath.Config{
		PinPath:        a.cfg.pinPath,
		Prefix:         a.tunnel.current().Prefix,
		Prefix6:        a.tunnel.current().Pods.V6,
		OverlayIfIndex: a.tunnel.first.Index(),
		DetourIfIndex:  a.tunnel.second.Index(),
	})
	if err != nil {
		return err
	}
	a.datapath = dp
	return nil
}

// openPods takes over the endpoints that an earlier agent left.
func (a *agent) openPods(ctx context.Context) error {
	a.attest = &attest{
		publisher: a.watcher, inForce: a.datapath.Endpoints, log: a.log,
		mode:  func() datapath.Attestation { return a.cfg.settings.current().attestation },
		flush: a.loops.attest.Sync, poke: a.loops.attest.Poke, now: time.Now,
		after: func(d time.Duration, do func()) { time.AfterFunc(d, do) },
		used:  map[identity.ID]time.Time{},
	}
	if err := a.loops.syncAttested(ctx); err != nil {
		return err
	}
	a.rules = newRules(rulesConfig{
		cluster: a.watcher, kernel: a.datapath, log: a.log,
		registry:   identity.NewRegistry(a.client.IdentityStore()),
		endpoints:  func() []cni.Endpoint { return usable(a.pods.Endpoints(), a.tunnel.current().Pods.V6) },
		audit:      a.auditMode,
		ignore:     func() identity.Ignore { return a.cfg.settings.current().ignore },
		changed:    func() bool { return a.loops.stale.Swap(false) },
		attest:     a.attest.ensure,
		compiledIn: a.metrics.Compiled,
		dropped:    a.forget,
	})
	netkit, err := a.cfg.pods.netkit(cni.ProbeNetkit)
	if err != nil {
		return err
	}
	a.log.Info("pods' interfaces", "setting", a.cfg.pods, "netkit", netkit)
	pods, err := cni.New(ctx, cni.Config{
		Dir:     a.cfg.runDir,
		Network: network{a},
		Node:    a.node,
		Changed: a.loops.rules.Poke,
		Netkit:  netkit,
		Observe: a.metrics.CNI,
		Log:     a.log,
	})
	if err != nil {
		return fmt.Errorf("endpoints: %w", err)
	}
	a.pods = pods
	return nil
}

// serve runs the loops until ctx ends. The plugin is answered from the start;
// it is told to wait until Ready.
func (a *agent) serve(ctx context.Context) error {
	listener, err := cni.Listen(a.cniSocket(), a.log)
	if err != nil {
		return err
	}
	flows, err := newFlowReader(a)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var running sync.WaitGroup
	defer running.Wait()
	failed := make(chan error, 2)
	running.Go(func() { failed <- cni.NewServer(a.pods, a.log).Serve(ctx, listener) })
	running.Go(func() { failed <- flows.run(ctx) })
	running.Go(func() { a.cfg.settings.run(ctx) })
	running.Go(func() { a.collect(ctx) })
	running.Go(func() { a.loops.run(ctx) })
	running.Go(func() { a.tunnel.watch(ctx) })
	select {
	case err = <-failed:
	case err = <-a.ended:
	}
	cancel()
	return err
}

// restart ends the agent, for what it can only follow by starting anew. What is
// in the kernel stays in force meanwhile.
func (a *agent) restart(why error) {
	select {
	case a.ended <- why:
	default: // it ends already
	}
}

// usable takes IPv6 addresses off endpoints if they are from a range that the
// node does not use any more: nothing passes to or from them.
func usable(endpoints []cni.Endpoint, range6 netip.Prefix) []cni.Endpoint {
	for n := range endpoints {
		if !range6.Contains(endpoints[n].Addr6) {
			endpoints[n].Addr6 = netip.Addr{}
		}
	}
	return endpoints
}

func (a *agent) cniSocket() string { return filepath.Join(a.cfg.runDir, "cni.sock") }

// node is what the plugin's side needs to know, as of now.
func (a *agent) node() cni.Node {
	plan := a.tunnel.current()
	n := cni.Node{Name: a.cfg.nodeName, PodCIDR: plan.Pods.V4, Addr: plan.Address, MTU: plan.MTU.Pods}
	if plan.Address6.IsValid() {
		n.PodCIDR6, n.Addr6 = plan.Pods.V6, plan.Address6
	}
	return n
}
