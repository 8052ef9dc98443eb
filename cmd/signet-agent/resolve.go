package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/signet-cni/signet/enforce/policy"
	"github.com/signet-cni/signet/identity"
	"github.com/signet-cni/signet/internal/kube"
)

// view is what numbers follow from besides a pod's own labels.
type view struct {
	namespaces map[string]map[string]string // labels
	ignore     identity.Ignore
}

// look gives what the cluster says now.
func (r *rules) look() view {
	policies, _ := r.cluster.Policies()
	return view{
		namespaces: r.cluster.Namespaces(), ignore: r.ignore().Counting(r.named.in(policies)),
	}
}

// namedKeys remembers which label keys policies name. Every start of a pod asks,
// and to find out takes a look at all selectors.
type namedKeys struct {
	mu       sync.Mutex
	policies []policy.Policy
	keys     []string
}

// in gives the keys that policies name. The slice is not modified after it was
// given once.
func (n *namedKeys) in(policies []policy.Policy) []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	same := len(policies) == len(n.policies) && (len(policies) == 0 || &policies[0] == &n.policies[0])
	if !same {
		n.policies, n.keys = policies, policy.NamedKeys(policies)
	}
	return n.keys
}

// resolve gives a pod's number, allocating it if the cluster has none.
func (r *rules) resolve(ctx context.Context, pod kube.Pod, v view) (identity.ID, error) {
	labels, ok := v.namespaces[pod.Namespace]
	if !ok {
		return identity.Unknown, fmt.Errorf("namespace %s is not known (yet)", pod.Namespace)
	}
	set := identity.NewSet(pod.Namespace, labels, pod.Labels, v.ignore)
	id, err := r.registry.Resolve(ctx, set)
	if err != nil {
		return identity.Unknown, fmt.Errorf("identity of pod %s/%s: %w", pod.Namespace, pod.Name, err)
	}
	return id, nil
}

// resolving is how many new sets are published at a time.
const resolving = 8

// identify finds every endpoint's pod and number. An endpoint that fails
// keeps what it has, and the error says so.
func (r *rules) identify(ctx context.Context, v view) ([]member, error) {
	members := r.members()
	errs := make([]error, len(members))
	limit := make(chan struct{}, resolving)
	var running sync.WaitGroup
	for n := range members {
		limit <- struct{}{}
		running.Go(func() {
			defer func() { <-limit }()
			members[n].id, errs[n] = r.resolve(ctx, members[n].pod, v)
		})
	}
	running.Wait()
	members = slices.DeleteFunc(members, func(m member) bool { return m.id == identity.Unknown })
	return members, errors.Join(errs...)
}

// members gives the endpoints whose pods are known.
func (r *rules) members() []member {
	r.mu.Lock()
	defer r.mu.Unlock()
	pods := map[string]kube.Pod{}
	for _, p := range r.cluster.LocalPods() {
		pods[p.Namespace+"/"+p.Name+"/"+p.UID] = p
	}
	var members []member
	for _, ep := range r.endpoints() {
		pod, watched := pods[ep.Namespace+"/"+ep.Pod+"/"+ep.PodUID]
		if watched {
			delete(r.joining, ep.Addr)
		} else if pod, watched = r.joining[ep.Addr]; !watched {
			continue // its pod is gone, or CNI ADD has not come to connect yet
		}
		members = append(members, member{endpoint: ep, pod: pod})
	}
	return members
}
