package netns_test

import (
	"errors"
	"net/netip"
	"syscall"
	"testing"

	"github.com/signet-cni/signet/enforce/policy"
	"github.com/signet-cni/signet/overlay"
	"github.com/signet-cni/signet/tests/netns/harness"
)

// TestNothingBeforePolicy: until policy is loaded nothing passes; then it does.
func TestNothingBeforePolicy(t *testing.T) {
	harness.Require(t)
	c := harness.NewCluster(t, 2, harness.Options{Closed: true})
	n1, n2 := c.Nodes[0], c.Nodes[1]
	a, local := c.AddPod(n1, harness.Role("a")), c.AddPod(n1, harness.Role("local"))
	b := c.AddPod(n2, harness.Role("b"))
	capture := c.Capture()
	for _, p := range []probe{
		{"pod to remote pod", &a.Host, &b.Host, 80, "not-ready", n1},
		{"pod to local pod", &a.Host, &local.Host, 80, "not-ready", n1},
		{"pod to world", &a.Host, c.World, 80, "not-ready", n1},
		{"pod to its node", &a.Host, &n1.Host, 80, "not-ready", n1},
		{"pod to remote node", &a.Host, &n2.Host, 80, "not-ready", n1},
		{"node to its pod", &n1.Host, &a.Host, 80, "not-ready", n1},
		{"node to remote pod", &n1.Host, &b.Host, 80, "not-ready", n1},
	} {
		p.check(t)
	}
	capture.Stop(0)

	c.SetPolicies(ingress("b", policy.Rule{Peers: peers("a")}))
	probe{"once policy is there", &a.Host, &b.Host, 80, "", nil}.check(t)
	probe{"and what it does not admit", &local.Host, &b.Host, 80, "policy-ingress", n2}.check(t)
}

// TestLostPeer: a node that is gone, a peer without a key, and a device that
// is down mean that nothing is sent, not that it is sent in plaintext. What
// comes back afterwards is as before.
func TestLostPeer(t *testing.T) {
	harness.Require(t)
	c := harness.NewCluster(t, 2, harness.Options{})
	n1, n2 := c.Nodes[0], c.Nodes[1]
	a, b := c.AddPod(n1, harness.Role("a")), c.AddPod(n2, harness.Role("b"))
	b.EchoUDP(7)
	to := netip.AddrPortFrom(b.Addr, 7)
	talk := harness.Converse(t, &a.Host, &b.Host, netip.AddrPortFrom(b.Addr, 80), 80)
	capture := c.Capture()
	noKey := "none"
	if !n1.Userspace() { // the kernel's WireGuard tells the packet's source inside the tunnel
		noKey = "tunnel-address"
	}
	for _, fault := range []struct {
		name   string
		reason string // of the drop on node 1
		cause  func() error
		host   error // what a process of the node gets
	}{
		{"node is gone", "no-peer", func() error { return n1.SyncWith() }, nil},
		{"peer has no key", noKey, n1.DropPeers, syscall.ENOKEY},
		{"device is down", "none", func() error { return n1.SetLink(overlay.DefaultDevice, false) }, syscall.EHOSTUNREACH},
	} {
		t.Run(fault.name, func(t *testing.T) {
			must(t, fault.cause())
			n1.WantDrops(fault.reason, func() {
				stops(t, talk)
				if a.EchoOnce(to, []byte("x"), never) == nil {
					t.Error("the pod's datagram arrives")
				}
			})
			err := n1.EchoOnce(to, []byte("x"), never)
			if !timeout(err) && (fault.host == nil || !errors.Is(err, fault.host)) {
				t.Errorf("a process of the node gets %v, want a time-out or %v", err, fault.host)
			}
			must(t, n1.SetLink(overlay.DefaultDevice, true))
			must(t, c.Sync())
			must(t, talk.Hear(soon))
			must(t, talk.Say(soon))
		})
	}
	capture.Stop(10)
}

// TestRemovedPod: the address of a pod that is gone reaches nobody, and the
// next pod that gets it inherits nothing.
func TestRemovedPod(t *testing.T) {
	harness.Require(t)
	c := harness.NewCluster(t, 2, harness.Options{PodBits: 29})
	a := c.AddPod(c.Nodes[0], harness.Role("a"))
	old := c.AddPod(c.Nodes[1], harness.Role("old"))
	c.SetPolicies(ingress("a", policy.Rule{Peers: peers("old")}))
	probe{"old pod", &old.Host, &a.Host, 80, "", nil}.check(t)
	addr := old.Addr
	must(t, c.RemovePod(old))
	c.Nodes[1].WantDrops("no-endpoint", func() {
		if a.Ping(addr, 8, never) == nil {
			t.Error("an address without a pod answers")
		}
	})
	heir := c.AddPodAt(c.Nodes[1], addr, harness.Role("heir"))
	if heir.Addr != addr {
		t.Fatalf("the next pod has %s, want %s", heir.Addr, addr)
	}
	probe{"its heir", &heir.Host, &a.Host, 80, "policy-ingress", c.Nodes[0]}.check(t)
}
