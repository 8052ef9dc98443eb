package cli

import (
	"context"
	"net/netip"
	"sync"
	"time"

	"github.com/signet-cni/signet/enforce/policy"
	"github.com/signet-cni/signet/identity"
	"github.com/signet-cni/signet/internal/api"
	"github.com/signet-cni/signet/internal/flowmap"
)

const (
	// stockEvery is how often the cluster is asked what there is, stockSoon how
	// soon again if a flow has an end that nobody knows.
	stockEvery = 15 * time.Second
	stockSoon  = 2 * time.Second
	// holdTime is how long a flow waits for its ends to be known.
	holdTime = 6 * time.Second
)

// stock knows what there is in the cluster: pods with their owners, policies
// and whom they isolate.
type stock struct {
	feed *mapFeed
	soon chan struct{} // somebody is unknown

	mu    sync.Mutex
	names podNames
	held  map[netip.Addr]time.Time // unknown addresses, since when
}

func newStock(f *mapFeed) *stock {
	return &stock{
		feed: f, soon: make(chan struct{}, 1), held: map[netip.Addr]time.Time{},
		names: podNames{target: f.target, now: f.app.env.Now},
	}
}

// keep asks again and again until ctx ends.
func (s *stock) keep(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(stockEvery):
		case <-s.soon:
			select {
			case <-ctx.Done():
				return
			case <-time.After(stockSoon):
			}
		}
		s.take(ctx)
	}
}

// take asks all nodes for pods, identities and policies, and the API server for
// agents and owners. What cannot be had is left as it was: the streams tell
// which nodes fail.
func (s *stock) take(ctx context.Context) {
	t := s.targetNow(ctx)
	pods, err := endpoints(ctx, t)
	if err != nil {
		return
	}
	inv := flowmap.Inventory{Pods: pods.Items, Owners: s.owners(ctx)}
	known, knownErr := identities(ctx, t)
	inForce, forceErr := policies(ctx, t)
	if knownErr == nil && forceErr == nil {
		inv.Policies = mergePolicies(inForce.Items)
		inv.Isolating = isolating(known.Items, inv.Policies)
	}
	s.feed.flows.SetInventory(inv)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.names.set(pods.Items)
}

// targetNow is the target with the agents that there are now. Nodes that have
// left the cluster leave the map.
func (s *stock) targetNow(ctx context.Context) target {
	t := s.feed.target
	if t.local != nil {
		return t
	}
	found, err := t.cluster.Agents(ctx)
	if err == nil {
		found, err = choose(found, s.feed.app.nodes)
	}
	if err != nil {
		return t
	}
	t.agents = found
	names := make([]string, 0, len(found))
	for _, agent := range found {
		names = append(names, agent.Node)
	}
	s.feed.flows.KeepNodes(names)
	return t
}

// owners gives the pods' owners, none where the user may not list pods.
func (s *stock) owners(ctx context.Context) map[string]flowmap.Owner {
	if s.feed.target.local != nil {
		return nil
	}
	found, err := s.feed.target.cluster.Owners(ctx)
	if err != nil {
		return nil
	}
	owners := make(map[string]flowmap.Owner, len(found))
	for pod, owner := range found {
		owners[pod] = flowmap.Owner(owner)
	}
	return owners
}

// isolating compiles the policies in force and tells whom they isolate.
func isolating(known []api.Identity, inForce []api.PolicyStatus) func(identity.ID) []flowmap.Isolation {
	o := newObserved(known, inForce)
	explain := policy.Compile(o.sets, o.policies).Explain
	return func(id identity.ID) (list []flowmap.Isolation) {
		for _, direction := range []policy.Direction{policy.Ingress, policy.Egress} {
			for _, i := range explain.Isolating(id, direction) {
				list = append(list, flowmap.Isolation{Policy: i.Policy.String(), Direction: direction.String()})
			}
		}
		return list
	}
}

// settle names the ends of flows and hands them on. It gives those back that
// have to wait: with an end that no node knew when it was asked.
func (s *stock) settle(records []nodeRecord, add func(*api.Flow)) (wait []nodeRecord) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	unknown := false
	for _, r := range records {
		if s.hold(&r, now) {
			unknown, wait = true, append(wait, r)
			continue
		}
		s.names.complete(r.Flow)
		add(r.Flow)
	}
	for addr, since := range s.held {
		if now.Sub(since) > 10*holdTime {
			delete(s.held, addr) // ask again
		}
	}
	if unknown {
		select {
		case s.soon <- struct{}{}:
		default:
		}
	}
	return wait
}

// hold reports whether a flow should wait for the next inventory: each unknown
// address holds flows up for a while, and then no more. A node that is asked
// alone never knows the pods of others.
func (s *stock) hold(r *nodeRecord, now time.Time) bool {
	if s.feed.target.local != nil {
		return false
	}
	for _, end := range []*api.End{&r.Src, &r.Dst} {
		if _, known := s.names.byAddr[end.Addr]; known || end.Identity.Reserved() && r.Verdict != api.Forwarded {
			continue
		}
		since, asked := s.held[end.Addr]
		if !asked {
			since = now
			s.held[end.Addr] = now
		}
		if now.Sub(since) < holdTime {
			return true
		}
	}
	return false
}
