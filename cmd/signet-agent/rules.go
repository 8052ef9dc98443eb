package main

import (
	"context"
	"errors"
	"fmt"
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

// rules keeps identities of this node's endpoints and the compiled policy in
// the kernel: labels -> identity -> rules -> maps.
type rules struct {
	agent    *agent
	registry *identity.Registry

	history history

	mu       sync.Mutex // one sync at a time; guards what follows
	joining  map[netip.Addr]kube.Pod
	compiled policy.Result
	sets     map[identity.ID]identity.Set // what compiled knows
	policies int
}

func newRules(a *agent, registry *identity.Registry) *rules {
	return &rules{agent: a, registry: registry, joining: map[netip.Addr]kube.Pod{}}
}

// member is an endpoint whose pod is known.
type member struct {
	endpoint cni.Endpoint
	pod      kube.Pod
	id       identity.ID
}

// sync brings the kernel in line with the cluster. Policy that knows an
// endpoint's identity is in force before the endpoint gets it.
func (r *rules) sync(ctx context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	policies, _ := r.agent.watcher.Policies()
	members, err := r.identify(ctx, policies)
	if err := r.apply(members, policies); err != nil {
		return err
	}
	return err
}

// connect puts one new endpoint in force, with policy that knows it.
func (r *rules) connect(ctx context.Context, ep cni.Endpoint) error {
	pod, err := r.agent.watcher.GetPod(ctx, ep.Namespace, ep.Pod, ep.PodUID)
	if err != nil {
		return err
	}
	policies, _ := r.agent.watcher.Policies()
	m := member{endpoint: ep, pod: pod}
	if m.id, err = r.resolve(ctx, pod, policies); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.joining[ep.Addr] = pod
	if _, known := r.sets[m.id]; known {
		return r.setEndpoint(m)
	}
	members, err := r.identify(ctx, policies)
	if err != nil {
		r.agent.log.Warn("other endpoints keep their identity", "error", err)
	}
	return r.apply(append(members, m), policies)
}

// disconnect forgets an endpoint; nothing passes to or from it any more.
func (r *rules) disconnect(ep cni.Endpoint) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.joining, ep.Addr)
	return r.agent.datapath.DeleteEndpoint(ep.Addr)
}

// resolve gives a pod's number, allocating it if the cluster has none.
func (r *rules) resolve(ctx context.Context, pod kube.Pod, policies []policy.Policy) (identity.ID, error) {
	labels, ok := r.agent.watcher.Namespaces()[pod.Namespace]
	if !ok {
		return identity.Unknown, fmt.Errorf("namespace %s is not known (yet)", pod.Namespace)
	}
	ignore := r.agent.cfg.settings.current().ignore.Counting(policy.NamedKeys(policies))
	set := identity.NewSet(pod.Namespace, labels, pod.Labels, ignore)
	id, err := r.registry.Resolve(ctx, set)
	if err != nil {
		return identity.Unknown, fmt.Errorf("identity of pod %s/%s: %w", pod.Namespace, pod.Name, err)
	}
	return id, nil
}

// identify finds every endpoint's pod and number. An endpoint that fails
// keeps what it has, and the error says so.
func (r *rules) identify(ctx context.Context, policies []policy.Policy) ([]member, error) {
	r.learn()
	pods := map[string]kube.Pod{}
	for _, p := range r.agent.watcher.LocalPods() {
		pods[p.Namespace+"/"+p.Name+"/"+p.UID] = p
	}
	var members []member
	var errs []error
	for _, ep := range r.agent.pods.Endpoints() {
		pod, watched := pods[ep.Namespace+"/"+ep.Pod+"/"+ep.PodUID]
		if watched {
			delete(r.joining, ep.Addr)
		} else if pod, watched = r.joining[ep.Addr]; !watched {
			continue // its pod is gone, or CNI ADD has not come to connect yet
		}
		id, err := r.resolve(ctx, pod, policies)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		members = append(members, member{endpoint: ep, pod: pod, id: id})
	}
	return members, errors.Join(errs...)
}

// learn takes in what the cluster published. A number that it published no
// longer stays known for a while (identity.Grace), and an endpoint here that
// needs it publishes it again.
func (r *rules) learn() {
	published, _ := r.agent.watcher.Identities()
	if err := r.registry.Adopt(published); err != nil {
		r.agent.log.Warn("identities refused", "error", err)
	}
}

// apply compiles and puts in force, then lets endpoints take their numbers.
func (r *rules) apply(members []member, policies []policy.Policy) error {
	sets := r.registry.All()
	began := time.Now()
	compiled := policy.Compile(sets, policies)
	r.agent.metrics.Compiled(time.Since(began))
	if _, err := r.agent.datapath.SetPolicy(&compiled.Table); err != nil {
		return err
	}
	r.history.add(&compiled)
	r.compiled, r.sets, r.policies = compiled, sets, len(policies)
	var errs []error
	for _, m := range members {
		errs = append(errs, r.setEndpoint(m))
	}
	return errors.Join(errs...)
}

func (r *rules) setEndpoint(m member) error {
	ep := datapath.Endpoint{
		Addr: m.endpoint.Addr, IfIndex: m.endpoint.HostIfIndex, Identity: m.id,
		MAC: m.endpoint.PodMAC, HostMAC: m.endpoint.HostMAC, Shaped: m.endpoint.Shaped,
	}
	for _, p := range m.pod.Ports {
		ep.Ports = append(ep.Ports, datapath.NamedPort{Name: p.Name, Protocol: p.Protocol, Port: p.Port})
	}
	return r.agent.datapath.SetEndpoint(ep)
}

// problems tells what of policies could not be honoured.
func (r *rules) problems() []kube.Problem {
	r.mu.Lock()
	defer r.mu.Unlock()
	var problems []kube.Problem
	for _, p := range r.compiled.Problems {
		problems = append(problems, kube.Problem{
			Kind: "NetworkPolicy", Namespace: p.Rule.Policy.Namespace, Name: p.Rule.Policy.Name, Message: p.Reason,
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
	sets := map[policy.RuleSetID]bool{}
	for key := range r.compiled.Table.Rules {
		sets[key.RuleSet] = true
	}
	return api.Policy{
		Revision: r.agent.datapath.Revision(), Identities: len(r.compiled.Table.Identities),
		Policies: r.policies, RuleSets: len(sets),
		Rows: len(r.compiled.Table.Rules) + len(r.compiled.Table.CIDRs),
	}
}
