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
		if got := s.do(n); got != s.want && got != noSuchThing {
			t.Fatalf("step %d: got %q, want %q", i, got, s.want)
		}
	}
}

// noSuchThing is the outcome of what the node's family has no counterpart of.
const noSuchThing = "no such thing in this family"

// onlyIPv4 is an action that IPv6 has no counterpart of, onlyIPv6 the reverse.
func onlyIPv4(do action) action { return only(false, do) }
func onlyIPv6(do action) action { return only(true, do) }

func only(v6 bool, do action) action {
	return func(n *node) string {
		if n.v6 != v6 {
			return noSuchThing
		}
		return do(n)
	}
}

// story is a test of several steps on a new node.
type story struct {
	name  string
	steps []step
}

// tell plays each story in both families.
func tell(t *testing.T, stories []story) {
	t.Helper()
	n := newNode(t)
	for _, s := range stories {
		n.inBothFamilies(t, s.name, func(t *testing.T) { n.play(t, s.steps) })
	}
}

// inBothFamilies runs a test on the node as a new one, in IPv4 and in IPv6.
func (n *node) inBothFamilies(t *testing.T, name string, test func(*testing.T)) {
	t.Helper()
	for _, v6 := range []bool{false, true} {
		label := name
		if v6 {
			label = "IPv6: " + name
		}
		t.Run(label, func(t *testing.T) {
			n.t, n.v6 = t, v6
			n.reset()
			test(t)
		})
	}
}

// pod is a pod of this node sending.
func pod(ep Endpoint, p ipv4) action {
	return func(n *node) string { return n.fromPod(ep, n.form(p)).String() }
}

// far is the far node sending what it has not admitted before.
func far(id identity.ID, p ipv4) action { return tunnelled(farPrefix, id, false, p) }

// farReply is the far node sending with its word that it has admitted the
// flow.
func farReply(id identity.ID, p ipv4) action { return tunnelled(farPrefix, id, true, p) }

func tunnelled(from netip.Prefix, id identity.ID, reply bool, p ipv4) action {
	return func(n *node) string {
		return n.fromOverlay(n.tag(n.form(p), from, id, reply)).String()
	}
}

// host is the host stack sending into the tunnel; device is where the packet
// came from, "" for a process of the node.
func host(device string, p ipv4) action {
	return func(n *node) string { return n.toOverlay(n.form(p), device).String() }
}

// deliver is the host stack sending to a pod.
func deliver(ep Endpoint, device string, p ipv4) action {
	return func(n *node) string { return n.toPod(ep, n.form(p), device).String() }
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
		_, err := n.SetServices(bothFamilies(list))
		must(n.t, err)
		return ""
	}
}

// relabels gives a pod another identity.
func relabels(ep Endpoint, id identity.ID) action {
	return func(n *node) string {
		ep.Identity = id
		must(n.t, n.SetEndpoint(ep))
		must(n.t, n.SetEndpoint(sixth(ep)))
		return ""
	}
}

// forgets empties the flow table, as eviction would.
func forgets(n *node) string {
	n.forgetFlows()
	return ""
}
