package kube

import (
	"slices"
	"sync"

	"github.com/signet-cni/signet/overlay"
)

// admitted remembers which nodes share nothing with another, and why the others
// are not used: that takes a comparison of all of them, and most updates of
// Tunnels only say which identities a node's pods have.
type admitted struct {
	mu       sync.Mutex
	stale    bool // a Tunnel says something else of its node
	known    bool
	nodes    []overlay.Node
	problems []Problem
}

// outdated notes that Tunnels have changed. It is called after their cache has.
func (a *admitted) outdated() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.stale = true
}

// get gives both, from the Tunnels in the cache if these have changed. They are
// shared.
func (a *admitted) get(tunnels collection[tunnel]) ([]overlay.Node, []Problem) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.stale || !a.known {
		a.stale, a.known = false, true // before the cache is read: what comes later is stale again
		a.nodes, a.problems = admitTunnels(tunnels.items())
	}
	return a.nodes, a.problems
}

// outdating has Nodes look again before changed is told.
func (w *Watcher) outdating(changed func(Kind)) func(Kind) {
	return func(kind Kind) {
		if kind == Tunnels {
			w.admitted.outdated()
		}
		changed(kind)
	}
}

// Nodes gives the nodes that published a usable tunnel, this one included, by
// name. No two of them share a key, a pod range or an address.
func (w *Watcher) Nodes() ([]overlay.Node, []Problem) {
	nodes, problems := w.admitted.get(w.tunnels)
	return slices.Clone(nodes), slices.Clone(problems)
}
