package netns_test

import (
	"net/netip"
	"testing"

	"github.com/signet-cni/signet/enforce/datapath"
	"github.com/signet-cni/signet/enforce/policy"
	"github.com/signet-cni/signet/identity"
	"github.com/signet-cni/signet/overlay"
	"github.com/signet-cni/signet/tests/netns/harness"
)

// TestForgedIdentity: a node in other hands, which holds a valid WireGuard key,
// claims an identity that policy admits but that no pod of its own has. In
// audit the packet arrives and is counted; in enforce it is dropped. What the
// node's own pods say passes in both.
func TestForgedIdentity(t *testing.T) {
	harness.Require(t)
	c := harness.NewCluster(t, 3, harness.Options{})
	target := c.AddPod(c.Nodes[0], harness.Role("target"))
	honest := c.AddPod(c.Nodes[1], harness.Role("honest"))
	admin := c.AddPod(c.Nodes[2], harness.Role("admin"))
	c.SetPolicies(ingress("target", policy.Rule{Peers: peers("admin", "honest")}))
	target.UDP(targetPort)
	must(t, honest.Ping(target.Addr, 8, soon)) // the handshake is done
	in := target.Packets("eth0")
	as := func(id identity.ID) forger {
		return forger{
			t: t, node: c.Nodes[1], tap: c.Nodes[1].Packets(overlay.DefaultDevice), target: target,
			from: c.Nodes[1].Prefix(), to: c.Nodes[0].Prefix(),
			src: netip.AddrPortFrom(honest.Addr, targetPort), id: id,
		}
	}
	for _, step := range []struct {
		name    string
		mode    datapath.Attestation
		claims  identity.ID
		reason  string
		counted bool
	}{
		{"audit, its own pod's", datapath.Audit, honest.Identity, "none", false},
		{"audit, another node's pod's", datapath.Audit, admin.Identity, "none", true},
		{"enforce, another node's pod's", datapath.Enforce, admin.Identity, "unattested", true},
		{"enforce, its own pod's", datapath.Enforce, honest.Identity, "none", false},
	} {
		t.Run(step.name, func(t *testing.T) {
			c.Attest(step.mode)
			before := unattested(t, c.Nodes[0])
			c.Nodes[0].WantDrops(step.reason, func() { as(step.claims).send(forgery{name: step.name}) })
			if _, arrived := in.Await(isForged, wait(step.reason)); arrived != (step.reason == "none") {
				t.Errorf("arrived: %v", arrived)
			}
			if counted := unattested(t, c.Nodes[0]) > before; counted != step.counted {
				t.Errorf("counted as unattested: %v", counted)
			}
		})
	}
	t.Run("enforce, honest pods of both nodes", func(t *testing.T) {
		for _, p := range []*harness.Pod{honest, admin} {
			if err := p.Ping(target.Addr, 56, soon); err != nil {
				t.Error(err)
			}
		}
	})
}

func unattested(t *testing.T, n *harness.Node) uint64 {
	t.Helper()
	count, err := n.Datapath.Unattested()
	must(t, err)
	return count.Packets
}

// TestRelabelInFlight: what a pod has sent under its old labels is judged by
// them, however the packets overtake each other.
func TestRelabelInFlight(t *testing.T) {
	harness.Require(t)
	c := harness.NewCluster(t, 2, harness.Options{})
	target := c.AddPod(c.Nodes[0], harness.Role("target"))
	client := c.AddPod(c.Nodes[1], harness.Role("old"))
	c.SetPolicies(ingress("target", policy.Rule{Peers: peers("old")}))
	target.UDP(targetPort)
	must(t, client.Ping(target.Addr, 8, soon))
	old := client.Identity
	in := target.Packets("eth0")
	client.Relabel(map[string]string{"role": "new"})
	f := forger{
		t: t, node: c.Nodes[1], tap: c.Nodes[1].Packets(overlay.DefaultDevice), target: target,
		from: c.Nodes[1].Prefix(), to: c.Nodes[0].Prefix(), src: netip.AddrPortFrom(client.Addr, targetPort),
	}
	for _, step := range []struct {
		id     identity.ID
		reason string
	}{{old, "none"}, {client.Identity, "policy-ingress"}, {old, "none"}, {client.Identity, "policy-ingress"}} {
		f.id = step.id
		c.Nodes[0].WantDrops(step.reason, func() { f.send(forgery{}) })
		if _, arrived := in.Await(isForged, wait(step.reason)); arrived != (step.reason == "none") {
			t.Errorf("identity %s: arrived %v", step.id, arrived)
		}
	}
	c.Nodes[0].WantDrops("policy-ingress", func() {
		if client.Ping(target.Addr, 8, never) == nil {
			t.Error("the pod still passes under its old labels")
		}
	})
	client.Relabel(map[string]string{"role": "old"})
	if client.Identity != old {
		t.Errorf("identity %s, want its number %s again", client.Identity, old)
	}
	must(t, client.Ping(target.Addr, 8, soon))
}
