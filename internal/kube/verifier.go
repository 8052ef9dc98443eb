package kube

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/signet-cni/signet/identity"
	"github.com/signet-cni/signet/internal/kube/api"
)

const (
	// RecheckInterval is how long a node's identities are taken for true
	// without another look at its pods. One that its pods no longer have, and
	// that the node goes on listing, is taken back that time and identity.Grace
	// later at the latest.
	RecheckInterval = 5 * time.Minute
	// lookSpacing is the least time between two looks at one node's pods,
	// however often it changes what it lists.
	lookSpacing = 200 * time.Millisecond
	// firstDoubt is when a node is looked at again that lists what none of its
	// pods has: the API server's cache can be behind. It doubles each time.
	firstDoubt = 100 * time.Millisecond
	// doubtTold is how long an identity is without a pod before that is told.
	doubtTold = 10 * time.Second
	// looksAtATime bounds the lists under way.
	looksAtATime = 8
)

// Verifier finds out which of the identities that nodes list their pods really
// have, and writes those into the Tunnels' status: a node in other hands can
// list what it likes, but not schedule pods to itself. It asks for a node's
// pods when the node lists something else than before, and from time to time.
// One of the cluster runs it, the elected one. Verify is not to be called
// twice at a time; the rest is safe for concurrent use.
type Verifier struct {
	watches

	namespaces collection[map[string]string]
	identities collection[published]
	tunnels    collection[attestation]

	now func() time.Time

	mu    sync.Mutex
	nodes map[string]*claimant
}

// claimant is what was found out about a node.
type claimant struct {
	uid     types.UID // of the Tunnel
	claimed []identity.ID
	looked  time.Time
	next    time.Time // when to look again, if nothing changes
	backoff time.Duration
	// doubts are the identities that no pod was found to have, by when that
	// was first so.
	doubts map[identity.ID]time.Time
}

// NewVerifier prepares the watches; Run starts them. changed is called as
// Config.Changed is.
func NewVerifier(client *Client, changed func(Kind)) (*Verifier, error) {
	v := &Verifier{watches: watches{client: client}, now: time.Now}
	v.Reset()
	core := client.core.CoreV1().RESTClient()
	err := errors.Join(
		add(&v.watches, changed, &v.namespaces, Namespaces, listed(core, Namespaces, everything),
			&corev1.Namespace{}, parseNamespace),
		add(&v.watches, changed, &v.identities, Identities, listed(client.identities, Identities, everything),
			&api.ReceivedIdentity{}, parseIdentity),
		add(&v.watches, changed, &v.tunnels, Tunnels, listed(client.tunnels, Tunnels, everything),
			&api.ReceivedTunnel{}, parseAttestation),
	)
	return v, err
}

// parseAttestation leaves it to the agents to refuse a Tunnel for the rest.
func parseAttestation(in *api.ReceivedTunnel) (attestation, []Problem) {
	if err := readable(in); err != nil {
		found := about(api.TunnelKind, in)
		found.add("%v; its identities are not verified", err)
		return attestation{}, found.problems
	}
	return attestationOf(in), nil
}

// Reset forgets what was found out, so that every node is looked at anew: what
// another process has written meanwhile is not known.
func (v *Verifier) Reset() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.nodes = map[string]*claimant{}
}

// Verify looks at the nodes for which it is time, and says after how long to
// call it again if nothing changes before.
func (v *Verifier) Verify(ctx context.Context) (next time.Duration, err error) {
	due, next := v.due()
	errs := make([]error, len(due))
	limit := make(chan struct{}, looksAtATime)
	var running sync.WaitGroup
	for n, it := range due {
		limit <- struct{}{}
		running.Go(func() {
			defer func() { <-limit }()
			if err := v.look(ctx, it); err != nil {
				errs[n] = fmt.Errorf("kube: verify node %s: %w", it.Name, err)
			}
		})
	}
	running.Wait()
	if len(due) > 0 {
		_, next = v.due()
	}
	return next, errors.Join(errs...)
}

// due gives the Tunnels for which it is time, and how long the others have.
func (v *Verifier) due() (due []*item[attestation], wait time.Duration) {
	v.mu.Lock()
	defer v.mu.Unlock()
	now, wait := v.now(), RecheckInterval
	items := v.tunnels.items()
	there := make(map[string]bool, len(items))
	for _, it := range items {
		there[it.Name] = true
		if it.refused() || !it.value.listed {
			continue
		}
		if left := v.nodes[it.Name].due(it).Sub(now); left > 0 {
			wait = min(wait, left)
			continue
		}
		due = append(due, it)
	}
	for name := range v.nodes {
		if !there[name] {
			delete(v.nodes, name)
		}
	}
	slices.SortStableFunc(due, func(a, b *item[attestation]) int { return cmp.Compare(a.value.settled(), b.value.settled()) })
	return due, wait
}

// settled is 0 for a node with pods that may wait to be verified: it comes
// first. 1 for all others.
func (a attestation) settled() int {
	if slices.Equal(a.identities, a.verified) {
		return 1
	}
	return 0
}

// due gives when to look at a node.
func (c *claimant) due(it *item[attestation]) time.Time {
	switch {
	case c == nil || c.uid != it.UID:
		return time.Time{}
	case !slices.Equal(c.claimed, it.value.identities):
		return c.looked.Add(lookSpacing)
	default:
		return c.next
	}
}

// Problems says which nodes list identities that none of their pods has.
func (v *Verifier) Problems() []Problem {
	v.mu.Lock()
	defer v.mu.Unlock()
	var problems []Problem
	now := v.now()
	for _, it := range v.tunnels.items() {
		node := v.nodes[it.Name]
		if node == nil {
			continue
		}
		var without []identity.ID
		for id, since := range node.doubts {
			if now.Sub(since) >= identity.Grace+doubtTold {
				without = append(without, id)
			}
		}
		if len(without) > 0 {
			found := about(api.TunnelKind, it)
			found.add("lists identity %s, which no pod scheduled to the node has, and %d more such; the node does not speak for them: "+
				"look for who else holds its agent's token", slices.Min(without), len(without)-1)
			problems = append(problems, found.problems...)
		}
	}
	return problems
}
