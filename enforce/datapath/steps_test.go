package datapath

import (
	"net/netip"
	"testing"

	"github.com/signet-cni/signet/enforce/policy"
	"github.com/signet-cni/signet/enforce/service"
	"github.com/signet-cni/signet/identity"
)

// action is something that happens to a node; it gives the outcome in a word
// (result.String), "" for what has none.
type action func(*node) string

// step is an action and its expected outcome.
type step struct {
	do   action
	want string
}

// play does the steps in turn.
func (n *node) play(t *testing.T, steps []step) {
	t.Helper()
	for i, s := range steps {
		if got := s.do(n); got != s.want {
			t.Fatalf("step %d: got %q, want %q", i, got, s.want)
		}
	}
}

// story is a test of several steps on a new node.
type story struct {
	name  string
	steps []step
}

func tell(t *testing.T, stories []story) {
	t.Helper()
	n := newNode(t)
	for _, s := range stories {
		t.Run(s.name, func(t *testing.T) {
			n.t = t
			n.reset()
			n.play(t, s.steps)
		})
	}
}

// pod is a pod of this node sending.
func pod(ep Endpoint, p ipv4) action {
	return func(n *node) string { return n.fromPod(ep, p.bytes()).String() }
}

// far is the far node sending what it has not admitted before.
func far(id identity.ID, p ipv4) action { return tunnelled(farPrefix, id, false, p) }

// farReply is the far node sending with its word that it has admitted the
// flow.
func farReply(id identity.ID, p ipv4) action { return tunnelled(farPrefix, id, true, p) }

func tunnelled(from netip.Prefix, id identity.ID, reply bool, p ipv4) action {
	return func(n *node) string {
		return n.fromOverlay(tag(n.t, p.bytes(), from, id, reply)).String()
	}
}

// host is the host stack sending into the tunnel; device is where the packet
// came from, "" for a process of the node.
func host(device string, p ipv4) action {
	return func(n *node) string { return n.toOverlay(p.bytes(), device).String() }
}

// deliver is the host stack sending to a pod.
func deliver(ep Endpoint, device string, p ipv4) action {
	return func(n *node) string { return n.toPod(ep, p.bytes(), device).String() }
}

// loads puts a policy in force.
func loads(table *policy.Table) action {
	return func(n *node) string {
		n.setPolicy(table)
		return ""
	}
}

// serves puts services in force.
func serves(list ...service.Service) action {
	return func(n *node) string {
		_, err := n.SetServices(list)
		must(n.t, err)
		return ""
	}
}

// relabels gives a pod another identity.
func relabels(ep Endpoint, id identity.ID) action {
	return func(n *node) string {
		ep.Identity = id
		must(n.t, n.SetEndpoint(ep))
		return ""
	}
}

// forgets empties the flow table, as eviction would.
func forgets(n *node) string {
	n.forgetFlows()
	return ""
}
