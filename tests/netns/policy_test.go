package netns_test

import (
	"errors"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"github.com/signet-cni/signet/enforce/policy"
	"github.com/signet-cni/signet/identity"
	"github.com/signet-cni/signet/tests/netns/harness"
)

// roles selects the pods with one of the roles.
func roles(roles ...string) *identity.Selector {
	return &identity.Selector{Requirements: []identity.Requirement{
		{Key: "role", Operator: identity.In, Values: roles},
	}}
}

func peers(names ...string) []policy.Peer { return []policy.Peer{{Pods: roles(names...)}} }

// ports are TCP and UDP ports.
func ports(numbers ...uint16) []policy.Port {
	var list []policy.Port
	for _, n := range numbers {
		list = append(list, policy.Port{Protocol: policy.TCP, First: n, Last: n},
			policy.Port{Protocol: policy.UDP, First: n, Last: n})
	}
	return list
}

// ingress admits to pods of a role what the rules say, and nothing else.
func ingress(role string, rules ...policy.Rule) policy.Policy {
	return policy.Policy{
		Namespace: "test", Name: role + "-in", Subjects: *roles(role), IsolatesIngress: true, Ingress: rules,
	}
}

func egress(role string, rules ...policy.Rule) policy.Policy {
	return policy.Policy{
		Namespace: "test", Name: role + "-out", Subjects: *roles(role), IsolatesEgress: true, Egress: rules,
	}
}

// probe is one attempt and what is to come of it.
type probe struct {
	name    string
	client  *harness.Host
	server  *harness.Host
	port    uint16
	refused string // the reason of the drop; "" if admitted
	by      *harness.Node
}

func (p probe) check(t *testing.T) {
	t.Helper()
	to := netip.AddrPortFrom(p.server.Addr, p.port)
	if p.refused == "" {
		if err := harness.Transfer(p.client, p.server, to, p.port, 1000); err != nil {
			t.Errorf("%s: TCP: %v", p.name, err)
		}
		defer p.server.EchoUDP(p.port)()
		if to.Addr().Is6() { // the world learns the pods' MTU by what does not reach them
			_ = p.client.EchoOnce(to, harness.Filler(3000), never)
		}
		if err := p.client.EchoOnce(to, harness.Filler(3000), soon); err != nil {
			t.Errorf("%s: UDP: %v", p.name, err)
		}
		return
	}
	l := p.server.Listen(p.port)
	defer l.Close()
	defer p.server.EchoUDP(p.port)()
	p.by.WantDrops(p.refused, func() {
		tcp := make(chan error, 1)
		go func() { tcp <- p.connects(to) }()
		if p.client.EchoOnce(to, []byte("x"), never) == nil {
			t.Errorf("%s: UDP is admitted", p.name)
		}
		if <-tcp == nil {
			t.Errorf("%s: TCP is admitted", p.name)
		}
	})
}

func (p probe) connects(to netip.AddrPort) error {
	conn, err := p.client.Dial(to, never)
	if err != nil {
		return err
	}
	return conn.Close()
}

// TestPolicy checks new flows of every path under policies of both
// directions, and where each is judged.
func TestPolicy(t *testing.T) {
	harness.Require(t)
	c := harness.NewCluster(t, 2, harness.Options{})
	n1, n2 := c.Nodes[0], c.Nodes[1]
	vip := c.AddPod(n1, harness.Role("vip"))
	security := c.AddPod(n2, harness.Role("security"))
	stranger := c.AddPod(n2, harness.Role("stranger"))
	backend := c.AddPod(n2, harness.Role("backend"))
	localSecurity := c.AddPod(n1, harness.Role("security"))
	localStranger := c.AddPod(n1, harness.Role("stranger"))
	c.SetPolicies(
		ingress("vip", policy.Rule{Peers: peers("security"), Ports: ports(80)}),
		egress("vip", policy.Rule{Peers: peers("backend"), Ports: ports(8080)}),
	)
	n1.SetForwards(
		harness.Forward{Port: 30080, To: netip.AddrPortFrom(vip.Addr, 80)},
		harness.Forward{Port: 30080, To: netip.AddrPortFrom(vip.Addr6, 80)},
	)
	for _, p := range []probe{
		{"security to vip", &security.Host, &vip.Host, 80, "", nil},
		{"security to vip, other port", &security.Host, &vip.Host, 81, "policy-ingress", n1},
		{"stranger to vip", &stranger.Host, &vip.Host, 80, "policy-ingress", n1},
		{"local security to vip", &localSecurity.Host, &vip.Host, 80, "", nil},
		{"local stranger to vip", &localStranger.Host, &vip.Host, 80, "policy-ingress", n1},
		{"vip to backend", &vip.Host, &backend.Host, 8080, "", nil},
		{"vip to backend, other port", &vip.Host, &backend.Host, 80, "policy-egress", n2},
		{"vip to security", &vip.Host, &security.Host, 80, "policy-egress", n2},
		{"vip to local stranger", &vip.Host, &localStranger.Host, 80, "policy-egress", n1},
		{"vip to world", &vip.Host, c.World, 80, "policy-egress", n1},
		{"vip to its node", &vip.Host, &n1.Host, 80, "policy-egress", n1},
		{"vip to remote node", &vip.Host, &n2.Host, 80, "policy-egress", n2},
		{"its node to vip", &n1.Host, &vip.Host, 80, "", nil},
		{"remote node to vip", &n2.Host, &vip.Host, 80, "policy-ingress", n1},
		{"stranger to backend", &stranger.Host, &backend.Host, 80, "", nil},
		{"stranger to world", &stranger.Host, c.World, 80, "", nil},
	} {
		p.check(t)
		p.name += " over IPv6"
		p.client, p.server = p.client.IPv6(), p.server.IPv6()
		p.check(t)
	}
	for _, of := range []func(*harness.Host) *harness.Host{
		func(h *harness.Host) *harness.Host { return h }, (*harness.Host).IPv6,
	} {
		refusedForward(t, n1, of(c.World), of(&n1.Host), of(&vip.Host))
		refusedPing(t, n1, of(&stranger.Host), of(&vip.Host))
		if err := of(&stranger.Host).Ping(of(&backend.Host).Addr, 56, soon); err != nil {
			t.Errorf("echo to a pod without a policy: %v", err)
		}
	}
}

func refusedForward(t *testing.T, by *harness.Node, world, node, vip *harness.Host) {
	vip.Listen(80)
	by.WantDrops("policy-ingress", func() {
		if _, err := world.Dial(netip.AddrPortFrom(node.Addr, 30080), never); err == nil {
			t.Error("the world is admitted")
		}
	})
}

func refusedPing(t *testing.T, by *harness.Node, stranger, vip *harness.Host) {
	by.WantDrops("policy-ingress", func() {
		if stranger.Ping(vip.Addr, 56, never) == nil {
			t.Error("an echo of a stranger is admitted")
		}
	})
}

// TestLiveFlows changes policy and identities under open connections: the
// revoked one stops, the other goes on, and both ways back are as before.
func TestLiveFlows(t *testing.T) {
	harness.Require(t)
	c := harness.NewCluster(t, 2, harness.Options{})
	server := c.AddPod(c.Nodes[0], harness.Role("server"))
	for name, where := range map[string]*harness.Node{"remote": c.Nodes[1], "local": c.Nodes[0]} {
		t.Run(name, func(t *testing.T) {
			kept, revoked := c.AddPod(where, harness.Role("kept")), c.AddPod(where, harness.Role("revoked"))
			c.SetPolicies(ingress("server", policy.Rule{Peers: peers("kept", "revoked")}))
			via := netip.AddrPortFrom(server.Addr, 80)
			good := harness.Converse(t, &kept.Host, &server.Host, via, 80)
			bad := harness.Converse(t, &revoked.Host, &server.Host, via, 80)

			c.SetPolicies(ingress("server", policy.Rule{Peers: peers("kept")}))
			stops(t, bad)
			must(t, good.Say(soon))

			c.SetPolicies(ingress("server", policy.Rule{Peers: peers("kept", "revoked")}))
			must(t, bad.Hear(soon)) // what was said meanwhile is sent again
			must(t, bad.Say(soon))
			must(t, good.Say(soon))

			c.SetPolicies(ingress("server", policy.Rule{Peers: peers("kept")}))
			revoked.Relabel(map[string]string{"role": "kept"})
			must(t, bad.Say(soon))
			kept.Relabel(map[string]string{"role": "revoked"})
			stops(t, good)
		})
	}
}

// stops fails the test if the connection still carries something.
func stops(t *testing.T, talk *harness.Talk) {
	t.Helper()
	if err := talk.Say(never); !timeout(err) {
		t.Errorf("a revoked connection gives %v, want a time-out", err)
	}
}

func timeout(err error) bool {
	var t interface{ Timeout() bool }
	return errors.As(err, &t) && t.Timeout()
}

// TestReplyDirection: who may not open a connection may answer one, and the
// answer opens nothing.
func TestReplyDirection(t *testing.T) {
	harness.Require(t)
	c := harness.NewCluster(t, 2, harness.Options{})
	a := c.AddPod(c.Nodes[0], harness.Role("a"))
	b := c.AddPod(c.Nodes[1], harness.Role("b"))
	c.SetPolicies(
		ingress("a"),
		egress("b"),
	)
	talk := harness.Converse(t, &a.Host, &b.Host, netip.AddrPortFrom(b.Addr, 80), 80)
	probe{"b to a", &b.Host, &a.Host, 80, "policy-egress", c.Nodes[0]}.check(t)
	must(t, talk.Say(soon))

	c.SetPolicies(ingress("a"), egress("b"), ingress("b"))
	stops(t, talk) // b's own ingress revokes it
}

// testRelatedErrors: the refusal of a datagram reaches its sender, through the
// tunnel, locally, from a node and through a service; an unrelated one does not.
func testRelatedErrors(t *testing.T, c field) {
	a, local, b := c.a, c.local, c.b
	for name, p := range map[string]path{
		"remote pod":         {client: a, server: b},
		"local pod":          {client: a, server: local},
		"its node":           {client: a, server: c.here},
		"remote node":        {client: a, server: c.there},
		"world":              {client: a, server: c.world},
		"node to remote pod": {client: c.here, server: b},
		"node to its pod":    {client: c.here, server: a},
	} {
		t.Run(name, func(t *testing.T) {
			if err := refusal(p.client, netip.AddrPortFrom(p.server.Addr, 4999), soon); !errors.Is(err, syscall.ECONNREFUSED) {
				t.Errorf("a closed UDP port gives %v, want a refusal; %s", err, c.Drops())
			}
		})
	}
}

// refusal sends a datagram over a connected socket, which hears of errors.
func refusal(from *harness.Host, to netip.AddrPort, limit time.Duration) error {
	conn, err := from.DialUDP(to)
	if err != nil {
		return err
	}
	defer conn.Close()
	if _, err := conn.Write([]byte("x")); err != nil {
		return err
	}
	if err := conn.SetReadDeadline(time.Now().Add(limit)); err != nil {
		return err
	}
	_, err = conn.Read(make([]byte, 1))
	return err
}
