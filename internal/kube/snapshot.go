package kube

import (
	"net/netip"
	"slices"

	"github.com/signet-cni/signet/enforce/policy"
	"github.com/signet-cni/signet/enforce/service"
	"github.com/signet-cni/signet/identity"
	"github.com/signet-cni/signet/overlay"
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
	return w.labels.get(func() map[string]map[string]string {
		items := w.namespaces.items()
		labels := make(map[string]map[string]string, len(items))
		for _, it := range items {
			labels[it.Name] = it.value.object
		}
		return labels
	})
}

// Policies gives all NetworkPolicies, by namespace and name, and what of them
// could not be used. A policy with a problem is among them, narrowed. As long as
// none changes, it gives the same slice.
func (w *Watcher) Policies() ([]policy.Policy, []Problem) {
	read := w.read.get(func() (found usable[policy.Policy]) {
		items := w.policies.items()
		found.objects = make([]policy.Policy, len(items))
		for n, it := range items {
			found.objects[n] = it.value.object
			found.problems = append(found.problems, it.problems...)
		}
		return found
	})
	return read.objects, slices.Clone(read.problems)
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

// Nodes gives what nodes published that can be read, this one included, by
// name. Several may claim the same thing: package plan settles that.
func (w *Watcher) Nodes() ([]overlay.Node, []Problem) {
	found := w.published.get(func() (found usable[overlay.Node]) {
		for _, it := range w.tunnels.items() {
			found.problems = append(found.problems, it.problems...)
			if !it.refused() {
				found.objects = append(found.objects, it.value.node)
			}
		}
		return found
	})
	return found.objects, slices.Clone(found.problems)
}

// Joining gives the addresses of the Nodes whose tunnel is not published yet,
// but for this one's.
func (w *Watcher) Joining() []netip.Addr {
	var addresses []netip.Addr
	for _, it := range w.joining.items() {
		if it.Name != w.client.node {
			addresses = append(addresses, it.value.InternalIPs...)
		}
	}
	return addresses
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
