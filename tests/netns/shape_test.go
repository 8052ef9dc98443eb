package netns_test

import (
	"errors"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/signet-cni/signet/enforce/policy"
	"github.com/signet-cni/signet/tests/netns/harness"
)

// TestShapedPods: pods whose bandwidth is limited in either direction are
// limited, judged and encrypted as others are.
func TestShapedPods(t *testing.T) {
	harness.Require(t)
	c := harness.NewCluster(t, 2, harness.Options{})
	for name, limit := range map[string]func(p *harness.Pod) error{
		"ingress": func(p *harness.Pod) error { p.ShapeIngress(shapedRate); return nil },
		"egress":  func(p *harness.Pod) error { return p.ShapeEgress(shapedRate) },
	} {
		t.Run(name, func(t *testing.T) { shaped(t, c, limit) })
	}
}

const (
	shapedRate  = 2 << 20 // bytes a second
	shapedBytes = 1 << 20 // to move: half a second, less a burst
)

func shaped(t *testing.T, c *harness.Cluster, limit func(p *harness.Pod) error) {
	n1, n2 := c.Nodes[0], c.Nodes[1]
	pod := c.AddShapedPod(n1, harness.Role("shaped"))
	err := limit(pod)
	if errors.Is(err, unix.EEXIST) && pod.HasClsact() {
		t.Logf("without tcx (Linux 6.6) the bandwidth plugin refuses such a pod: %v", err)
		return
	}
	must(t, err)
	local := c.AddPod(n1, harness.Role("friend"))
	remote := c.AddPod(n2, harness.Role("friend"))
	stranger := c.AddPod(n2, harness.Role("stranger"))
	c.SetServices(clusterIP("10.96.0.9", 80, netip.AddrPortFrom(remote.Addr, 8080)))
	c.SetPolicies(
		ingress("shaped", policy.Rule{Peers: append(peers("friend"), policy.Peer{
			Block: policy.IPBlock{CIDR: netip.PrefixFrom(n2.Addr, 32)},
		})}),
		egress("shaped", policy.Rule{Ports: ports(80, 8080)}),
	)
	capture := c.Capture()
	for _, p := range []probe{
		{"to remote pod", &pod.Host, &remote.Host, 80, "", nil},
		{"to remote pod, other port", &pod.Host, &remote.Host, 81, "policy-egress", n2},
		{"to local pod", &pod.Host, &local.Host, 80, "", nil},
		{"to local pod, other port", &pod.Host, &local.Host, 81, "policy-egress", n1},
		{"to its node", &pod.Host, &n1.Host, 80, "", nil},
		{"to remote node", &pod.Host, &n2.Host, 80, "", nil},
		{"to world", &pod.Host, c.World, 80, "", nil},
		{"to world, other port", &pod.Host, c.World, 81, "policy-egress", n1},
		{"from remote friend", &remote.Host, &pod.Host, 80, "", nil},
		{"from local friend", &local.Host, &pod.Host, 80, "", nil},
		{"from remote node", &n2.Host, &pod.Host, 80, "", nil},
		{"from its node", &n1.Host, &pod.Host, 80, "", nil},
		{"from remote stranger", &stranger.Host, &pod.Host, 80, "policy-ingress", n1},
	} {
		p.check(t)
	}
	capture.Stop(10)
	for name, p := range map[string]struct {
		client, server *harness.Host
		via            netip.AddrPort
	}{
		"remote pod":         {&pod.Host, &remote.Host, netip.AddrPortFrom(remote.Addr, 8080)},
		"service":            {&pod.Host, &remote.Host, netip.MustParseAddrPort("10.96.0.9:80")},
		"remote pod by IPv6": {pod.IPv6(), remote.IPv6(), netip.AddrPortFrom(remote.Addr6, 8080)},
	} {
		started := time.Now()
		if err := harness.Transfer(p.client, p.server, p.via, 8080, shapedBytes); err != nil {
			t.Errorf("%s: %v; %s", name, err, c.Drops())
		}
		if took := time.Since(started); took < 300*time.Millisecond {
			t.Errorf("%s: %d bytes each way took %s: the limit has no effect", name, shapedBytes, took)
		}
	}
}
