package main

import (
	"fmt"

	"github.com/signet-cni/signet/enforce/policy"
	"github.com/signet-cni/signet/identity"
	"github.com/signet-cni/signet/tests/netns/harness"
)

// pods is a cluster of two nodes with policies in force: a client on the first
// node and a server on each. Beside it stand two machines that share nothing
// with it but the kind of WireGuard device.
type pods struct {
	*harness.Cluster
	client, near, far *harness.Pod
	bareA, bareB      *harness.Host
}

// policiesInForce isolate the servers; one admits the client.
const policiesInForce = 100

func newPods(t *lab) *pods {
	harness.Require(t)
	c := harness.NewCluster(t, 2, harness.Options{})
	p := &pods{
		Cluster: c,
		client:  c.AddPod(c.Nodes[0], harness.Role("client")),
		near:    c.AddPod(c.Nodes[0], harness.Role("server")),
		far:     c.AddPod(c.Nodes[1], harness.Role("server")),
	}
	p.bareA, p.bareB = c.BarePair()
	c.SetPolicies(manyPolicies(policiesInForce)...)
	return p
}

// bareName says what the two machines beside the cluster run over.
func (p *pods) bareName() string { return "bare " + p.Nodes[0].WireGuard() + " WireGuard" }

// manyPolicies isolate the servers and admit a role each; only the last one's
// is the client's.
func manyPolicies(count int) []policy.Policy {
	list := make([]policy.Policy, 0, count)
	for i := range count {
		role := fmt.Sprintf("client-%d", i)
		if i == count-1 {
			role = "client"
		}
		list = append(list, policy.Policy{
			Namespace: "test", Name: fmt.Sprintf("policy-%d", i), Subjects: ofRole("server"), IsolatesIngress: true,
			Ingress: []policy.Rule{{Peers: []policy.Peer{{Pods: new(ofRole(role))}}}},
		})
	}
	return list
}

func ofRole(role string) identity.Selector {
	return identity.Selector{Requirements: []identity.Requirement{
		{Key: "role", Operator: identity.In, Values: []string{role}},
	}}
}
