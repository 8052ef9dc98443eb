package netns_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/signet-cni/signet/enforce/policy"
	"github.com/signet-cni/signet/enforce/service"
	"github.com/signet-cni/signet/tests/netns/harness"
)

// never is how long a test waits for what must not come.
const never = 200 * time.Millisecond

// clusterIP makes a service for TCP and UDP.
func clusterIP(addr string, port uint16, backends ...netip.AddrPort) service.Service {
	front := func(p policy.Protocol) service.Frontend {
		return service.Frontend{Addr: netip.MustParseAddr(addr), Port: port, Protocol: p}
	}
	return service.Service{
		Namespace: "test", Name: addr, Backends: backends,
		Frontends: []service.Frontend{front(policy.TCP), front(policy.UDP)},
	}
}

// testClusterIP reaches backends of every kind; the client sees the service's
// address only. Backends are compared by what they answer.
func testClusterIP(t *testing.T, c field) {
	a, local, b := c.a, c.local, c.b
	capture := c.Capture()
	for i, backend := range []*harness.Host{b, local, c.here, c.there, c.world} {
		addr := c.service(i + 1)
		c.SetServices(clusterIP(addr, 80, netip.AddrPortFrom(backend.Addr, 8080)))
		via := netip.AddrPortFrom(netip.MustParseAddr(addr), 80)
		if err := harness.Transfer(a, backend, via, 8080, bulk()); err != nil {
			t.Errorf("TCP to backend %s: %v; %s", backend.Addr, err, c.Drops())
		}
		stop := backend.EchoUDP(8080)
		for _, size := range []int{1, 1000, 5000} {
			if err := a.EchoOnce(via, harness.Filler(size), soon); err != nil {
				t.Errorf("UDP of %d bytes to backend %s: %v; %s", size, backend.Addr, err, c.Drops())
			}
		}
		stop()
	}
	capture.Stop(100)
}

// testClusterIPMoves: a connection stays with its backend when the service
// moves on, and a new one goes to the new backend.
func testClusterIPMoves(t *testing.T, c field) {
	a, b, d := c.a, c.b, &c.AddPod(c.Nodes[1], harness.Role("d")).Host
	if b.Addr.Is6() {
		d = d.IPv6()
	}
	via := netip.AddrPortFrom(netip.MustParseAddr(c.service(1)), 80)
	c.SetServices(clusterIP(c.service(1), 80, netip.AddrPortFrom(b.Addr, 8080)))
	first := harness.Converse(t, a, b, via, 8080)
	c.SetServices(clusterIP(c.service(1), 80, netip.AddrPortFrom(d.Addr, 8080)))
	must(t, first.Say(soon))
	second := harness.Converse(t, a, d, via, 8080)
	must(t, second.Say(soon))
	must(t, first.Say(soon))
}

// testAffinity: of several backends, a client stays with one.
func testAffinity(t *testing.T, c field) {
	backends := []*harness.Host{c.local, c.b}
	sticky := clusterIP(c.service(1), 80, netip.AddrPortFrom(c.local.Addr, 8080), netip.AddrPortFrom(c.b.Addr, 8080))
	sticky.Affinity = time.Hour
	c.SetServices(sticky)
	via := netip.AddrPortFrom(netip.MustParseAddr(c.service(1)), 80)
	for _, b := range backends {
		stop := b.EchoUDP(8080)
		chosen := c.a.EchoOnce(via, []byte("who?"), never) == nil
		for n := 0; chosen && n < 12; n++ { // another one would refuse
			if err := c.a.EchoOnce(via, []byte("again"), soon); err != nil {
				t.Errorf("call %d: %v; %s", n, err, c.Drops())
			}
		}
		stop()
		if chosen {
			return
		}
	}
	t.Errorf("no backend answers; %s", c.Drops())
}

// TestHairpin: a pod reaches itself through its service, whatever its policies.
func TestHairpin(t *testing.T) {
	harness.Require(t)
	c := harness.NewCluster(t, 1, harness.Options{})
	a := c.AddPod(c.Nodes[0], harness.Role("a"))
	c.SetPolicies(ingress("a"), egress("a"))
	for via, self := range map[string]*harness.Host{"10.96.0.1": &a.Host, "fd10:96::1": a.IPv6()} {
		c.SetServices(clusterIP(via, 80, netip.AddrPortFrom(self.Addr, 8080)))
		forwarded(t, c, self, netip.AddrPortFrom(netip.MustParseAddr(via), 80), self, 8080)
	}
}

// testForwards: ports of a node that stand for a pod of this or of another
// node, with and without masquerade.
func testForwards(t *testing.T, c field) {
	here, there, local, remote := c.here, c.there, c.local, c.b
	const port = 8080
	c.Nodes[0].SetForwards(
		harness.Forward{Port: 30001, To: netip.AddrPortFrom(local.Addr, port)},
		harness.Forward{Port: 30002, To: netip.AddrPortFrom(local.Addr, port), Masquerade: true},
		harness.Forward{Port: 30003, To: netip.AddrPortFrom(remote.Addr, port), Masquerade: true},
		harness.Forward{Port: 30004, To: netip.AddrPortFrom(remote.Addr, port)},
	)
	capture := c.Capture()
	for _, client := range []*harness.Host{c.world, there} {
		for nodePort, server := range map[uint16]*harness.Host{30001: local, 30002: local, 30003: remote} {
			forwarded(t, c.Cluster, client, netip.AddrPortFrom(here.Addr, nodePort), server, port)
		}
	}
	for nodePort, server := range map[uint16]*harness.Host{30002: local, 30003: remote} {
		forwarded(t, c.Cluster, here, netip.AddrPortFrom(here.Addr, nodePort), server, port)
	}
	defer remote.EchoUDP(port)()
	c.Nodes[0].WantDrops("spoofed-address", func() {
		if err := c.world.EchoOnce(netip.AddrPortFrom(here.Addr, 30004), []byte("x"), never); err == nil {
			t.Error("the world's address crosses the tunnel")
		}
	})
	capture.Stop(100)
}

func forwarded(t *testing.T, c *harness.Cluster, client *harness.Host, via netip.AddrPort, server *harness.Host, port uint16) {
	t.Helper()
	if err := harness.Transfer(client, server, via, port, bulk()); err != nil {
		t.Errorf("TCP %s to %s: %v; %s", client.Addr, via, err, c.Drops())
	}
	defer server.EchoUDP(port)()
	if err := client.EchoOnce(via, harness.Filler(1000), soon); err != nil {
		t.Errorf("UDP %s to %s: %v; %s", client.Addr, via, err, c.Drops())
	}
}

// wait is how long to wait for a packet that a drop with this reason stops.
func wait(reason string) time.Duration {
	if reason == "none" {
		return soon
	}
	return never / 10 // the drop was counted already
}
