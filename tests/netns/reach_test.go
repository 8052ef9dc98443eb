package netns_test

import (
	"fmt"
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
// its second. Traffic is of one family.
type field struct {
	*harness.Cluster
	podA, podLocal, podB *harness.Pod
	a, local, b          *harness.Host
	here, there, world   *harness.Host // the nodes, and the world
	services             string        // address of a Service, with a number for %d
	headers              int           // bytes of IP and UDP
}

func fieldOf(c *harness.Cluster, a, local, b *harness.Pod, ipv6 bool) field {
	f := field{
		Cluster: c, podA: a, podLocal: local, podB: b, a: &a.Host, local: &local.Host, b: &b.Host,
		here: &c.Nodes[0].Host, there: &c.Nodes[1].Host, world: c.World, services: "10.96.0.%d", headers: 28,
	}
	if ipv6 {
		for _, h := range []**harness.Host{&f.a, &f.local, &f.b, &f.here, &f.there, &f.world} {
			*h = (*h).IPv6()
		}
		f.services, f.headers = "fd10:96::%d", 48
	}
	return f
}

// service is the address of the Service with this number.
func (f field) service(number int) string { return fmt.Sprintf(f.services, number) }

// TestTraffic is about what passes when nothing is forbidden.
func TestTraffic(t *testing.T) {
	harness.Require(t)
	c := harness.NewCluster(t, 2, harness.Options{})
	a, local := c.AddPod(c.Nodes[0], harness.Role("a")), c.AddPod(c.Nodes[0], harness.Role("local"))
	b := c.AddPod(c.Nodes[1], harness.Role("b"))
	t.Run("header fields", func(t *testing.T) { testHeaderFields(t, fieldOf(c, a, local, b, false)) })
	for name, ipv6 := range map[string]bool{"IPv4": false, "IPv6": true} {
		t.Run(name, func(t *testing.T) { traffic(t, fieldOf(c, a, local, b, ipv6)) })
	}
}

// traffic is what both families have to carry.
func traffic(t *testing.T, f field) {
	for _, test := range []struct {
		name string
		run  func(*testing.T, field)
	}{
		{"reach", testReach},
		{"sizes", testSizes},
		{"segments", testSegments},
		{"related errors", testRelatedErrors},
		{"ClusterIP", testClusterIP},
		{"ClusterIP moves", testClusterIPMoves},
		{"session affinity", testAffinity},
		{"forwards", testForwards},
		{"MTU of the world", testWorldLearnsMTU},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.run(t, f)
			if t.Failed() {
				t.Log(f.Drops())
			}
		})
	}
}

// testReach moves TCP in bulk, UDP and ICMP between every kind of ends.
func testReach(t *testing.T, c field) {
	a, local, b, here, there := c.a, c.local, c.b, c.here, c.there
	capture := c.Capture()
	for _, p := range []path{
		{"pod to remote pod", a, b},
		{"remote pod back", b, a},
		{"pod to local pod", a, local},
		{"pod to remote node", a, there},
		{"remote node to pod", there, a},
		{"pod to its node", a, here},
		{"node to its pod", here, a},
		{"pod to world", a, c.world},
		{"other pod to world", b, c.world},
	} {
		t.Run(p.name, p.check)
	}
	capture.Stop(100)
}

// bulk is how many bytes fill queues and windows, with -short of a slow machine.
func bulk() int64 {
	if testing.Short() {
		return 1 << 16
	}
	return 1 << 20
}

func (p path) check(t *testing.T) {
	const port = 8080
	to := netip.AddrPortFrom(p.server.Addr, port)
	if err := p.client.Ping(p.server.Addr, 56, soon); err != nil {
		t.Errorf("ICMP echo: %v", err)
	}
	if err := harness.Transfer(p.client, p.server, to, port, 4*bulk()); err != nil {
		t.Errorf("TCP: %v", err)
	}
	echo := p.server.EchoUDP(port)
	defer echo()
	if err := p.client.EchoOnce(to, harness.Filler(512), soon); err != nil {
		t.Errorf("UDP: %v", err)
	}
}
