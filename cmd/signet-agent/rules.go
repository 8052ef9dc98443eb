package main

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"net/netip"
	"sync"
	"time"

	"github.com/signet-cni/signet/cni"
	"github.com/signet-cni/signet/enforce/datapath"
	"github.com/signet-cni/signet/enforce/policy"
	"github.com/signet-cni/signet/identity"
	"github.com/signet-cni/signet/internal/api"
	"github.com/signet-cni/signet/internal/kube"
)

// cluster is what rules need to know of the cluster (kube.Watcher).
type cluster interface {
	Policies() ([]policy.Policy, []kube.Problem)
	Identities() (map[identity.ID]identity.Set, []kube.Problem)
	NewIdentities() map[identity.ID]identity.Set
	AlteredPolicies() map[policy.PolicyRef]*policy.Policy
	Namespaces() map[string]map[string]string
	LocalPods() []kube.Pod
	GetPod(ctx context.Context, namespace, name, uid string) (kube.Pod, error)
}

// kernel is where rules are put in force (datapath.Datapath).
type kernel interface {
	SetPolicy(*policy.Table) (changed bool, err error)
	ChangePolicy(*policy.Delta) error
	SetEndpoint(datapath.Endpoint) error
	DeleteEndpoint(netip.Addr) error
}

// rulesConfig is what rules work on; every field is required.
type rulesConfig struct {
	cluster   cluster
	kernel    kernel
	registry  *identity.Registry
	endpoints func() []cni.Endpoint
	ignore    func() identity.Ignore
	// changed reports whether policies, identities or settings may have changed
	// since it was last called.
	changed func() bool
	audit   func() audit
	// attest publishes identities before they are used, and gives those that
	// other nodes would not take from this one yet.
	attest func(context.Context, []identity.ID) (unverified []identity.ID, err error)
	// compiledIn is told how long each compilation took.
	compiledIn func(time.Duration)
	// dropped is told which policies have gone, one by one.
	dropped func([]policy.PolicyRef)
	log     *slog.Logger
}

// rules keeps identities of this node's endpoints and the compiled policy in
// the kernel: labels -> identity -> rules -> maps.
type rules struct {
	rulesConfig

	history history
	named   namedKeys

	mu       sync.Mutex // one sync at a time; guards what follows
	joining  map[netip.Addr]kube.Pod
	compiled policy.Result
	sets     map[identity.ID]identity.Set // what compiled knows
	policies []policy.Policy
	audited  audit
	loaded   bool          // compiled is in force
	waiting  []identity.ID // of endpoints that keep another until these are verified
}

func newRules(config rulesConfig) *rules {
	return &rules{rulesConfig: config, joining: map[netip.Addr]kube.Pod{}}
}

// member is an endpoint whose pod is known.
type member struct {
	endpoint cni.Endpoint
	pod      kube.Pod
	id       identity.ID
}

// sync brings the kernel in line with the cluster. Policy that knows an
// endpoint's identity is in force before the endpoint gets it. Unless policies
// or identities may have changed, only the endpoints are looked at.
func (r *rules) sync(ctx context.Context) error {
	whole := r.changed()
	v := r.look()
	if whole {
		r.learn()
	}
	members, failed := r.identify(ctx, v)
	members, waiting, err := r.vouch(ctx, members)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.waiting = waiting
	if whole || !r.loaded { // what failed before is done again
		return errors.Join(r.apply(members), failed, err)
	}
	return errors.Join(r.take(members), failed, err)
}

// take lets endpoints take their numbers under the policy in force. r.mu is
// held.
func (r *rules) take(members []member) error {
	for _, m := range members {
		if known, err := r.admit(m.id); err != nil || !known {
			return errors.Join(err, r.apply(members))
		}
	}
	return r.setEndpoints(members)
}

// connect puts one new endpoint in force, with policy that knows it.
func (r *rules) connect(ctx context.Context, ep cni.Endpoint) error {
	pod, err := r.cluster.GetPod(ctx, ep.Namespace, ep.Pod, ep.PodUID)
	if err != nil {
		return err
	}
	v := r.look()
	m := member{endpoint: ep, pod: pod}
	if m.id, err = r.resolve(ctx, pod, v); err != nil {
		return err
	}
	if err := r.awaitVouched(ctx, m); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.joining[ep.Addr] = pod
	known, err := r.admit(m.id)
	switch {
	case err != nil:
		return err
	case known:
		return r.setEndpoint(m)
	}
	return r.apply([]member{m})
}

// disconnect forgets an endpoint; nothing passes to or from it any more.
func (r *rules) disconnect(ep cni.Endpoint) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.joining, ep.Addr)
	var errs []error
	for _, addr := range ep.Addrs() {
		errs = append(errs, r.kernel.DeleteEndpoint(addr))
	}
	return errors.Join(errs...)
}

// learn takes in what the cluster published. A number that it published no
// longer stays known for a while (identity.Grace), and an endpoint here that
// needs it publishes it again.
func (r *rules) learn() {
	r.cluster.NewIdentities() // they are among all of them
	published, _ := r.cluster.Identities()
	if err := r.registry.Adopt(published); err != nil {
		r.log.Warn("identities refused", "error", err)
	}
}

// apply compiles and puts in force, then lets endpoints take their numbers. It
// takes the policies as they are now: those that altered since the numbers were
// looked up may be in force already. r.mu is held.
func (r *rules) apply(members []member) error {
	policies, _ := r.cluster.Policies()
	if err := r.load(r.registry.All(), policies, r.audit()); err != nil {
		return err
	}
	return r.setEndpoints(members)
}

// setEndpoints passes over those that have left since they were listed. r.mu is
// held.
func (r *rules) setEndpoints(members []member) error {
	here := map[string]bool{}
	for _, ep := range r.endpoints() {
		here[ep.HostIfName] = true
	}
	var errs []error
	for _, m := range members {
		if here[m.endpoint.HostIfName] {
			errs = append(errs, r.setEndpoint(m))
		}
	}
	return errors.Join(errs...)
}

// load puts in force what the policies make of the sets: as little as has
// changed. r.mu is held.
func (r *rules) load(sets map[identity.ID]identity.Set, policies []policy.Policy, audit audit) error {
	if r.loaded && audit.equal(r.audited) {
		done, err := r.change(policy.Difference(r.sets, sets, r.policies, policies))
		if done || err != nil {
			return err
		}
	}
	r.loaded = false // until it is known what is in force
	began := time.Now()
	compiled := policy.Compile(sets, policies)
	compiled.Audit(audit.holds)
	r.compiledIn(time.Since(began))
	if _, err := r.kernel.SetPolicy(&compiled.Table); err != nil {
		return err
	}
	compiled.Table = policy.Table{} // the kernel has it, and takes changes as such
	r.history.add(compiled.Explain)
	r.compiled, r.sets, r.policies, r.audited, r.loaded = compiled, sets, policies, audit, true
	return nil
}

// change puts a difference in force; done is false if that takes a whole
// compilation. r.mu is held.
func (r *rules) change(d policy.Diff) (done bool, err error) {
	if d.Empty() {
		return true, nil
	}
	r.loaded = false // until it is known what is in force
	began := time.Now()
	delta, ok := r.compiled.Change(d)
	if !ok {
		return false, nil
	}
	r.compiledIn(time.Since(began))
	if err := r.kernel.ChangePolicy(&delta); err != nil {
		return false, err
	}
	if len(d.Policies)+len(d.GonePolicies) > 0 {
		r.policies = d.Amend(r.policies)
		r.history.add(r.compiled.Explain)
		r.dropped(d.GonePolicies)
	} else {
		r.history.grow(r.compiled.Explain)
	}
	maps.Copy(r.sets, d.Identities)
	for _, id := range d.GoneIdentities {
		delete(r.sets, id)
	}
	r.loaded = true
	return true, nil
}

// setEndpoint puts all addresses of an endpoint in force.
func (r *rules) setEndpoint(m member) error {
	ep := datapath.Endpoint{
		IfIndex: m.endpoint.HostIfIndex, Identity: m.id,
		MAC: m.endpoint.PodMAC, HostMAC: m.endpoint.HostMAC, Shaped: m.endpoint.Shaped,
	}
	for _, p := range m.pod.Ports {
		ep.Ports = append(ep.Ports, datapath.NamedPort{Name: p.Name, Protocol: p.Protocol, Port: p.Port})
	}
	var errs []error
	for _, ep.Addr = range m.endpoint.Addrs() {
		errs = append(errs, r.kernel.SetEndpoint(ep))
	}
	return errors.Join(errs...)
}

// problems tells what of policies could not be honoured.
func (r *rules) problems() []kube.Problem {
	r.mu.Lock()
	defer r.mu.Unlock()
	var problems []kube.Problem
	for _, p := range r.compiled.Problems {
		reason := kube.ReasonPeer
		if p.Port {
			reason = kube.ReasonPort
		}
		problems = append(problems, kube.Problem{
			Kind: "NetworkPolicy", Namespace: p.Rule.Policy.Namespace, Name: p.Rule.Policy.Name,
			Reason: reason, Message: p.Reason,
		})
	}
	return problems
}

// snapshot gives the sets that the policy in force knows.
func (r *rules) snapshot() map[identity.ID]identity.Set {
	r.mu.Lock()
	defer r.mu.Unlock()
	return maps.Clone(r.sets)
}

// status sums up what is enforced.
func (r *rules) status() api.Policy {
	r.mu.Lock()
	defer r.mu.Unlock()
	size := r.compiled.Size()
	return api.Policy{Identities: size.Identities, Policies: len(r.policies), RuleSets: size.RuleSets, Rows: size.Rows}
}
