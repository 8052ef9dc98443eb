package netns_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/signet-cni/signet/tests/netns/harness"
)

// soon is how long an answer may take that is to come.
const soon = 5 * time.Second

// path is one pair of ends that must reach each other without a policy.
type path struct {
	name           string
	client, server *harness.Host
}

// field is a cluster without a policy: pods a and local on its first node, b on
// its second.
type field struct {
	*harness.Cluster
	a, local, b *harness.Pod
}

// TestTraffic is about what passes when nothing is forbidden.
func TestTraffic(t *testing.T) {
	harness.Require(t)
	c := harness.NewCluster(t, 2, harness.Options{})
	f := field{
		c, c.AddPod(c.Nodes[0], harness.Role("a")), c.AddPod(c.Nodes[0], harness.Role("local")),
		c.AddPod(c.Nodes[1], harness.Role("b")),
	}
	for _, test := range []struct {
		name string
		run  func(*testing.T, field)
	}{
		{"reach", testReach},
		{"sizes", testSizes},
		{"segments", testSegments},
		{"header fields", testHeaderFields},
		{"related errors", testRelatedErrors},
		{"ClusterIP", testClusterIP},
		{"ClusterIP moves", testClusterIPMoves},
		{"forwards", testForwards},
		{"MTU of the world", testWorldLearnsMTU},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.run(t, f)
			if t.Failed() {
				t.Log(c.Drops())
			}
		})
	}
}

// testReach moves TCP in bulk, UDP and ICMP between every kind of ends.
func testReach(t *testing.T, c field) {
	a, local, b := c.a, c.local, c.b
	here, there := &c.Nodes[0].Host, &c.Nodes[1].Host
	capture := c.Capture()
	for _, p := range []path{
		{"pod to remote pod", &a.Host, &b.Host},
		{"remote pod back", &b.Host, &a.Host},
		{"pod to local pod", &a.Host, &local.Host},
		{"pod to remote node", &a.Host, there},
		{"remote node to pod", there, &a.Host},
		{"pod to its node", &a.Host, here},
		{"node to its pod", here, &a.Host},
		{"pod to world", &a.Host, c.World},
		{"other pod to world", &b.Host, c.World},
	} {
		t.Run(p.name, p.check)
	}
	capture.Stop(100)
}

func (p path) check(t *testing.T) {
	const port = 8080
	to := netip.AddrPortFrom(p.server.Addr, port)
	if err := p.client.Ping(p.server.Addr, 56, soon); err != nil {
		t.Errorf("ICMP echo: %v", err)
	}
	count := int64(4 << 20)
	if testing.Short() {
		count = 1 << 20
	}
	if err := harness.Transfer(p.client, p.server, to, port, count); err != nil {
		t.Errorf("TCP: %v", err)
	}
	echo := p.server.EchoUDP(port)
	defer echo()
	if err := p.client.EchoOnce(to, harness.Filler(512), soon); err != nil {
		t.Errorf("UDP: %v", err)
	}
}
