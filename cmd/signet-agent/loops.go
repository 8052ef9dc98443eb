package main

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/signet-cni/signet/cni"
	"github.com/signet-cni/signet/enforce/datapath"
	"github.com/signet-cni/signet/enforce/policy"
	"github.com/signet-cni/signet/identity"
	"github.com/signet-cni/signet/internal/kube"
	"github.com/signet-cni/signet/internal/masquerade"
	"github.com/signet-cni/signet/internal/reconcile"
	"github.com/signet-cni/signet/overlay"
	"github.com/signet-cni/signet/overlay/device"
)

// resync is how often every loop runs although nothing poked it: the kernel
// side may have been changed by others.
const resync = 30 * time.Second

// minInterval lets a burst of changes become one run.
const minInterval = 20 * time.Millisecond

// quickInterval is minInterval for what costs little, and somebody waits for:
// identities that are new, and policies one by one.
const quickInterval = time.Millisecond

// reportInterval is the least time between two looks at what to tell users:
// they go over every object that the node watches.
const reportInterval = time.Second

// loops are the level-triggered loops of the agent.
type loops struct {
	agent    *agent
	tunnel   *reconcile.Loop
	rules    *reconcile.Loop
	meet     *reconcile.Loop // identities that are new
	revise   *reconcile.Loop // policies that altered
	services *reconcile.Loop
	outward  *reconcile.Loop
	guard    *reconcile.Loop
	pods     *reconcile.Loop
	hooks    *reconcile.Loop
	report   *reconcile.Loop
	publish  *reconcile.Loop
	attest   *reconcile.Loop // what this node speaks for
	attested *reconcile.Loop // what the others do
	verified []identity.ID   // of this node's, as syncAttested last saw them
	noticed  stopwatch       // the oldest new identity that is not in force
	started  sync.Once       // the node is open for pods
	revised  stopwatch       // the oldest altered policy that is not
	stale    atomic.Bool     // policies, identities or settings may have changed
}

func newLoops(a *agent) *loops {
	l := &loops{agent: a}
	loop := func(name string, do func(context.Context) error) *reconcile.Loop {
		return reconcile.New(reconcile.Config{Name: name, Do: do, MinInterval: minInterval, Log: a.log})
	}
	l.tunnel = loop("tunnel", func(ctx context.Context) error { return a.tunnel.sync(ctx) })
	l.rules = loop("policy", l.syncRules)
	quick := func(name string, do func(context.Context) error) *reconcile.Loop {
		return reconcile.New(reconcile.Config{Name: name, Do: do, MinInterval: quickInterval, Log: a.log})
	}
	l.meet = quick("newcomers", l.syncNewcomers)
	l.revise = quick("revised", l.syncRevised)
	l.services = loop("services", l.syncServices)
	l.outward = loop("masquerade", l.syncMasquerade)
	l.guard = loop("guard", func(context.Context) error { return a.setGuard() })
	l.pods = loop("endpoints", func(ctx context.Context) error { return a.pods.Prune(ctx) })
	l.hooks = loop("hooks", l.syncHooks)
	l.report = reconcile.New(reconcile.Config{
		Name: "events", Do: l.syncReport, MinInterval: reportInterval, Log: a.log,
	})
	l.publish = loop("publish", l.syncPublish)
	l.attested = loop("attested", l.syncAttested)
	l.attest = reconcile.New(reconcile.Config{
		Name: "attest", Do: func(ctx context.Context) error { return a.attest.sync(ctx) },
		MinInterval: publishInterval, Log: a.log,
	})
	return l
}

// named gives the loops that must have succeeded before pods are attached.
func (l *loops) named() map[string]*reconcile.Loop {
	return map[string]*reconcile.Loop{
		"tunnel": l.tunnel, "policy": l.rules, "services": l.services,
		"masquerade": l.outward, "guard": l.guard, "endpoints": l.pods, "hooks": l.hooks, "attested": l.attested,
	}
}

// changed pokes the loops that depend on a kind of object.
func (l *loops) changed(kind kube.Kind) {
	switch kind {
	case kube.Tunnels, kube.Nodes:
		l.tunnel.Poke()
		l.attested.Poke()
		l.attest.Poke()
	case kube.Joining:
		l.tunnel.Poke()
	case kube.Attestations:
		l.attested.Poke()
		l.attest.Poke()
	case kube.Services, kube.EndpointSlices:
		l.services.Poke()
	case kube.NewIdentities:
		l.noticed.begin(time.Now())
		l.meet.Poke()
	case kube.NetworkPolicies:
		l.revised.begin(time.Now())
		l.revise.Poke()
		return // the report follows what it would only hold up
	case kube.Namespaces, kube.Identities:
		l.stale.Store(true)
		l.agent.propagation.begin(time.Now())
		l.rules.Poke()
	case kube.Pods:
		l.agent.propagation.begin(time.Now())
		l.rules.Poke()
	}
	l.report.Poke()
}

// configured pokes the loops that read live settings.
func (l *loops) configured() {
	l.stale.Store(true)
	l.rules.Poke()
	l.tunnel.Poke()
	l.attested.Poke()
	l.report.Poke()
}

// run runs every loop until ctx ends.
func (l *loops) run(ctx context.Context) {
	all := []*reconcile.Loop{
		l.tunnel, l.rules, l.meet, l.revise, l.services, l.outward, l.guard, l.pods, l.hooks, l.report, l.publish, l.attest, l.attested,
	}
	var running sync.WaitGroup
	defer running.Wait()
	for _, loop := range all {
		running.Go(func() { loop.Run(ctx) })
	}
	running.Go(func() { l.watchDevice(ctx) })
	running.Go(func() { l.watchAddresses(ctx) })
	ticker := time.NewTicker(resync)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			l.stale.Store(true)
			for _, loop := range all {
				loop.Poke()
			}
		}
	}
}

// watchDevice configures the devices at once when they change: a signet-wg that
// comes back knows neither key nor peers. The underlay's MTU decides theirs.
func (l *loops) watchDevice(ctx context.Context) {
	for ctx.Err() == nil {
		changed, err := device.Watch(ctx, l.agent.tunnel.watched)
		if err != nil {
			l.agent.log.Warn("cannot watch the devices; they are looked at from time to time",
				"error", err, "every", resync)
			return
		}
		for range changed {
			l.tunnel.Poke()
			l.hooks.Poke() // they go with a device
		}
		l.tunnel.Poke() // the watch ended: something may have been missed
	}
}

// watchAddresses tells the peers at once when the node's address changes: they
// learn it from any packet of WireGuard, but from nothing else before the API
// server knows.
func (l *loops) watchAddresses(ctx context.Context) {
	for ctx.Err() == nil {
		changed, err := device.WatchAddresses(ctx)
		if err != nil {
			l.agent.log.Warn("cannot watch the node's addresses; peers may take minutes to follow a new one", "error", err)
			return
		}
		for range changed {
			if err := l.agent.tunnel.core.Moved(); err != nil {
				l.agent.log.Warn("cannot tell the peers of a new address", "error", err)
			}
			l.tunnel.Poke()
		}
	}
}

// problems says what is wrong, loop by loop; none if everything is in force.
func (l *loops) problems() []string {
	var list []string
	for name, loop := range l.named() {
		stats := loop.Stats()
		switch {
		case stats.Error != nil:
			list = append(list, name+": "+stats.Error.Error())
		case stats.Success.IsZero():
			list = append(list, name+": not done yet")
		}
	}
	slices.Sort(list)
	return list
}

// failing is problems as one error, nil if there are none.
func (l *loops) failing() error {
	if list := l.problems(); len(list) > 0 {
		return errors.New(strings.Join(list, "; "))
	}
	return nil
}

func (l *loops) syncRules(ctx context.Context) error {
	noticed := l.agent.propagation.take()
	err := l.agent.rules.sync(ctx)
	l.agent.attest.wake(gatherTime) // an identity may have lost its last endpoint
	l.agent.forgetOthers()
	switch {
	case err != nil:
		l.agent.propagation.begin(noticed)
	case !noticed.IsZero():
		l.agent.metrics.Propagated(time.Since(noticed))
	}
	return err
}

// forgetOthers forgets what was counted of all policies but those that there are.
func (a *agent) forgetOthers() {
	policies, _ := a.watcher.Policies()
	a.forget(a.hits.others(policies))
}

// forget forgets what was counted of policies that are gone.
func (a *agent) forget(gone []policy.PolicyRef) {
	a.hits.forget(gone)
	for _, ref := range gone {
		a.metrics.Forget(ref.Namespace, ref.Name)
	}
}

func (l *loops) syncServices(context.Context) error {
	services, _ := l.agent.watcher.Services()
	l.agent.services.set(services)
	_, err := l.agent.datapath.SetServices(services)
	return err
}

func (l *loops) syncMasquerade(context.Context) error {
	return masquerade.Set(masquerade.Rules{
		Pods:      l.agent.tunnel.current().Pods.List(),
		Cluster:   l.agent.cfg.clusterCIDR.List(),
		Overlay:   overlay.DefaultDevice,
		Untracked: datapath.MarkUntracked,
	})
}

// policyProblems tells what of policies is not used: what cannot be read, and
// what cannot be compiled.
func (a *agent) policyProblems() []kube.Problem {
	_, unread := a.watcher.Policies()
	return append(unread, a.rules.problems()...)
}

// syncReport tells users what of their objects is not used.
func (l *loops) syncReport(ctx context.Context) error {
	w := l.agent.watcher
	_, namespaces := w.Annotations()
	sets, identities := w.Identities()
	_, nodes := w.Nodes()
	_, services := w.Services()
	node, self, _ := w.Node()
	problems := append(append(append(append(l.agent.policyProblems(), identities...), nodes...), services...), self...)
	problems = append(problems, namespaces...)
	problems = append(problems, l.agent.tunnel.problems(node)...)
	problems = append(problems, l.agent.cfg.settings.problems(node)...)
	if l.agent.elected.Load() {
		problems = append(problems, growth(sets, l.agent.cfg.settings.current().perNamespace)...)
	}
	return l.agent.reporter.Report(ctx, w.WithUIDs(problems))
}

// syncPublish opens the node for pods, last of all: the configuration makes
// the kubelet start them.
func (l *loops) syncPublish(ctx context.Context) error {
	if err := l.failing(); err != nil {
		return fmt.Errorf("not ready: %w", err)
	}
	err := cni.WriteConflist(l.agent.cfg.conflists, cni.ConflistOptions{
		AgentSocket: l.agent.cniSocket(), PortMap: true, Bandwidth: true,
	})
	if err != nil {
		return err
	}
	if err := l.agent.watcher.SetNetworkUp(ctx); err != nil {
		return err
	}
	l.started.Do(debug.FreeOSMemory) // the first lists took several times what is kept of them
	return nil
}
