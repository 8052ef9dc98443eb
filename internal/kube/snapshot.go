package kube

import (
	"github.com/signet-cni/signet/enforce/policy"
	"github.com/signet-cni/signet/enforce/service"
	"github.com/signet-cni/signet/identity"
)

// LocalPods gives the pods of this node, by namespace and name.
func (w *Watcher) LocalPods() []Pod {
	items := w.pods.items()
	pods := make([]Pod, len(items))
	for n, it := range items {
		pods[n] = it.value
	}
	return pods
}

// Namespaces gives the labels of every namespace by its name.
func (w *Watcher) Namespaces() map[string]map[string]string {
	items := w.namespaces.items()
	labels := make(map[string]map[string]string, len(items))
	for _, it := range items {
		labels[it.Name] = it.value.object
	}
	return labels
}

// Policies gives all NetworkPolicies, by namespace and name, and what of them
// could not be used. A policy with a problem is among them, narrowed.
func (w *Watcher) Policies() ([]policy.Policy, []Problem) {
	var problems []Problem
	items := w.policies.items()
	policies := make([]policy.Policy, len(items))
	for n, it := range items {
		policies[n] = it.value.object
		problems = append(problems, it.problems...)
	}
	return policies, problems
}

// Identities gives the published sets by number. Those whose number does not
// belong to their labels are refused.
func (w *Watcher) Identities() (map[identity.ID]identity.Set, []Problem) {
	var problems []Problem
	items := w.identities.items()
	sets := make(map[identity.ID]identity.Set, len(items))
	for _, it := range items {
		if it.refused() {
			problems = append(problems, it.problems...)
			continue
		}
		sets[it.value.id] = it.value.set
	}
	return sets, problems
}

// Services gives every port of every Service that has a cluster IP.
func (w *Watcher) Services() ([]service.Service, []Problem) {
	return joinServices(w.services.items(), w.slices.items())
}

// Node gives this node, and whether it is known yet.
func (w *Watcher) Node() (Node, []Problem, bool) {
	it, ok := w.nodes.get("", w.client.node)
	if !ok {
		return Node{}, nil, false
	}
	return it.value, it.problems, true
}
