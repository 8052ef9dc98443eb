package kube

import (
	"sync"

	"github.com/signet-cni/signet/enforce/policy"
)

// altered are the policies that came, went or changed since somebody looked.
type altered struct {
	mu   sync.Mutex
	refs map[policy.PolicyRef]struct{}
}

// notePolicy takes in a policy that came, went or changed.
func (w *Watcher) notePolicy(it *item[annotated[policy.Policy]], changed func(Kind)) {
	w.read.forget()
	w.altered.mu.Lock()
	if w.altered.refs == nil {
		w.altered.refs = map[policy.PolicyRef]struct{}{}
	}
	w.altered.refs[policy.PolicyRef{Namespace: it.Namespace, Name: it.Name}] = struct{}{}
	w.altered.mu.Unlock()
	changed(NetworkPolicies)
}

// AlteredPolicies gives the policies that came, went or changed since the last
// call, as they are now: nil where there is none of that name any more.
func (w *Watcher) AlteredPolicies() map[policy.PolicyRef]*policy.Policy {
	w.altered.mu.Lock()
	refs := w.altered.refs
	w.altered.refs = nil
	w.altered.mu.Unlock()
	policies := make(map[policy.PolicyRef]*policy.Policy, len(refs))
	for ref := range refs {
		policies[ref] = nil
		if it, ok := w.policies.get(ref.Namespace, ref.Name); ok {
			policies[ref] = &it.value.object
		}
	}
	return policies
}
