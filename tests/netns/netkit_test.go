//go:build vm

package netns_test

import (
	"errors"
	"net/netip"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/signet-cni/signet/enforce/datapath"
	"github.com/signet-cni/signet/enforce/policy"
	"github.com/signet-cni/signet/tests/netns/harness"
)

// TestNetkit: pods with netkit devices reach, are judged, and are kept from
// lying as those with veth devices.
func TestNetkit(t *testing.T) {
	harness.RequireNetkit(t)
	c := harness.NewCluster(t, 2, harness.Options{Netkit: true})
	n1, n2 := c.Nodes[0], c.Nodes[1]
	a, local := c.AddPod(n1, harness.Role("a")), c.AddPod(n1, harness.Role("local"))
	b := c.AddPod(n2, harness.Role("b"))
	t.Run("device", func(t *testing.T) { testNetkitDevice(t, a) })
	v4, v6 := fieldOf(c, a, local, b, false), fieldOf(c, a, local, b, true)
	t.Run("reach IPv4", func(t *testing.T) { testReach(t, v4) })
	t.Run("reach IPv6", func(t *testing.T) { testReach(t, v6) })
	t.Run("ClusterIP", func(t *testing.T) { testClusterIP(t, v4) })
	t.Run("ClusterIP to itself", func(t *testing.T) {
		c.SetServices(clusterIP("10.96.0.7", 80, netip.AddrPortFrom(a.Addr, 8080)))
		forwarded(t, c, &a.Host, netip.MustParseAddrPort("10.96.0.7:80"), &a.Host, 8080)
	})
	t.Run("forwards", func(t *testing.T) { testForwards(t, v4) })
	t.Run("spoofed, local", func(t *testing.T) { spoofed(t, c, a, local) })
	t.Run("spoofed, remote", func(t *testing.T) { spoofed(t, c, a, b) })
	t.Run("false protocol", func(t *testing.T) { testFalseProtocol(t, a, local) })
	t.Run("unparsed", func(t *testing.T) { testUnparsed(t, a, local); testUnparsed(t, a, b) })
	t.Run("policy", func(t *testing.T) { testNetkitPolicy(t, c, a, local, b) })
	t.Run("limited", func(t *testing.T) { testLimitedBesideNetkit(t, c) })
	t.Run("without programs", func(t *testing.T) { testBareNetkit(t, c, a, local, b) })
	t.Run("refused", func(t *testing.T) { testNetkitRefused(t, c) })
	t.Run("DEL", func(t *testing.T) { testNetkitDel(t, c, a) })
	if t.Failed() {
		t.Log(c.Drops())
	}
}

// testNetkitDevice: the pair has Ethernet headers, lets nothing out of the pod
// without a program, and keeps marks in their namespace.
func testNetkitDevice(t *testing.T, p *harness.Pod) {
	device, ok := p.Device().(*netlink.Netkit)
	if !ok {
		t.Fatalf("the pod has a %s", p.Device().Type())
	}
	if device.Mode != netlink.NETKIT_MODE_L2 || !device.IsPrimary() {
		t.Errorf("mode %d, primary: %v", device.Mode, device.IsPrimary())
	}
	if device.Policy != netlink.NETKIT_POLICY_FORWARD || device.PeerPolicy != netlink.NETKIT_POLICY_BLACKHOLE {
		t.Errorf("policy %d, the pod's end %d", device.Policy, device.PeerPolicy)
	}
	if device.SupportsScrub() && (device.Scrub != netlink.NETKIT_SCRUB_DEFAULT || device.PeerScrub != netlink.NETKIT_SCRUB_DEFAULT) {
		t.Errorf("scrub %d, the pod's end %d", device.Scrub, device.PeerScrub)
	}
}

// testFalseProtocol: netkit takes a packet socket's word for what a frame holds.
// A frame that says otherwise itself gets nowhere.
func testFalseProtocol(t *testing.T, pod, target *harness.Pod) {
	packet := harness.UDPPacket(netip.AddrPortFrom(pod.Addr, 1), netip.AddrPortFrom(target.Addr, targetPort), []byte("forged"))
	in, out := target.Packets("eth0"), pod.Frames("eth0")
	for _, c := range []struct {
		name             string
		inFrame, claimed uint16
		reason           string
	}{
		{"IPv4 called IPv6", unix.ETH_P_IP, unix.ETH_P_IPV6, "malformed"},
		{"VLAN called IPv4", unix.ETH_P_8021Q, unix.ETH_P_IP, "malformed"},
		{"ARP called IPv4", unix.ETH_P_ARP, unix.ETH_P_IP, "malformed"},
		{"IPv4 called ARP", unix.ETH_P_IP, unix.ETH_P_ARP, "unsupported-protocol"},
		{"IPv4", unix.ETH_P_IP, unix.ETH_P_IP, "none"},
	} {
		frame := pod.FrameOf(c.inFrame, packet.Bytes())
		pod.Node.WantDrops(c.reason, func() { must(t, out.Send(frame, c.claimed)) })
		if _, arrived := in.Await(isForged, wait(c.reason)); arrived != (c.reason == "none") {
			t.Errorf("%s: arrived: %v", c.name, arrived)
		}
	}
}

// testUnparsed: what an XDP socket sends comes to netkit without a look at its
// headers, as it would at no device that receives. It gets nowhere.
func testUnparsed(t *testing.T, pod, target *harness.Pod) {
	packet := harness.UDPPacket(netip.AddrPortFrom(pod.Addr, 1), netip.AddrPortFrom(target.Addr, targetPort), []byte("forged"))
	in := target.Packets("eth0")
	pod.Node.WantDrops("unsupported-protocol", func() { must(t, pod.SendXDP("eth0", pod.Frame(packet))) })
	if _, arrived := in.Await(isForged, never); arrived {
		t.Errorf("it arrives at %s", target.Addr)
	}
}

// testNetkitPolicy isolates every end in either direction.
func testNetkitPolicy(t *testing.T, c *harness.Cluster, a, local, b *harness.Pod) {
	n1, n2 := c.Nodes[0], c.Nodes[1]
	defer c.SetPolicies()
	c.SetPolicies(
		egress("a", policy.Rule{Ports: ports(80)}),
		ingress("a", policy.Rule{Peers: peers("b")}),
		ingress("b", policy.Rule{Peers: peers("a")}),
	)
	for _, p := range []probe{
		{"to local pod", &a.Host, &local.Host, 80, "", nil},
		{"to local pod, other port", &a.Host, &local.Host, 81, "policy-egress", n1},
		{"to remote pod", &a.Host, &b.Host, 80, "", nil},
		{"to remote pod, other port", &a.Host, &b.Host, 81, "policy-egress", n2},
		{"to world, other port", &a.Host, c.World, 81, "policy-egress", n1},
		{"from remote pod", &b.Host, &a.Host, 80, "", nil},
		{"from local stranger", &local.Host, &a.Host, 80, "policy-ingress", n1},
		{"local stranger to remote pod", local.IPv6(), b.IPv6(), 80, "policy-ingress", n2},
		{"from its node", &n1.Host, &a.Host, 80, "", nil},
		{"from remote node", &n2.Host, &a.Host, 80, "policy-ingress", n1},
	} {
		p.check(t)
	}
}

// testLimitedBesideNetkit: a limited pod has a veth, and all that it sends to or
// hears from pods with netkit passes the queues.
func testLimitedBesideNetkit(t *testing.T, c *harness.Cluster) {
	shaped(t, c, func(p *harness.Pod) error {
		if got := p.Device().Type(); got != "veth" {
			t.Errorf("a limited pod has a %s", got)
		}
		return p.ShapeEgress(shapedRate)
	})
}

// testBareNetkit: a pod whose programs somebody took away sends nothing, on any
// way, until the agent has put them back.
func testBareNetkit(t *testing.T, c *harness.Cluster, pod, local, b *harness.Pod) {
	n1 := c.Nodes[0]
	c.SetPolicies()
	n1.DetachPod(pod)
	for _, to := range []*harness.Host{&local.Host, &b.Host, c.World, &n1.Host} {
		stop := to.EchoUDP(7)
		n1.WantDrops("none", func() { silent(t, &pod.Host, netip.AddrPortFrom(to.Addr, 7)) })
		stop()
	}
	n1.CloseDatapath()
	n1.OpenDatapath()
	must(t, pod.Ping(b.Addr, 8, soon))
}

// testNetkitRefused: an ADD that fails when the hooks are attached leaves nothing,
// and its repetition succeeds; netkit's hook fits no other device.
func testNetkitRefused(t *testing.T, c *harness.Cluster) {
	n := c.Nodes[0]
	p := c.PreparePod(n, harness.Role("refused"))
	n.RefusePods(errors.New("refused by the test"))
	if err := p.Start(); err == nil {
		t.Error("ADD succeeds")
	}
	n.RefusePods(nil)
	if left := p.Remains(); p.HostIf() == "" || len(left) > 0 {
		t.Errorf("of %q there remains %q", p.HostIf(), left)
	}
	must(t, p.Start())
	must(t, p.Ping(n.Addr, 8, soon))
	err := n.Try(func() error {
		if err := netlink.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "other"}, PeerName: "peer"}); err != nil {
			return err
		}
		other, err := netlink.LinkByName("other")
		if err != nil {
			return err
		}
		return n.Datapath.AttachPod(datapath.PodDevice{IfIndex: other.Attrs().Index, Netkit: true})
	})
	if !errors.Is(err, unix.ENXIO) {
		t.Errorf("netkit's hook at another device: %v, want %v", err, unix.ENXIO)
	}
}

// testNetkitDel: DEL leaves nothing, and may be repeated.
func testNetkitDel(t *testing.T, c *harness.Cluster, p *harness.Pod) {
	if left := p.Remains(); len(left) < 4 {
		t.Errorf("a living pod has %q only", left)
	}
	for range 2 {
		must(t, c.RemovePod(p))
		if left := p.Remains(); len(left) > 0 {
			t.Errorf("there remains %q", left)
		}
	}
}

// TestNetkitRestart is TestAgentRestart of pods with netkit devices. They keep
// these when the next agent has another choice, beside others with veth devices.
func TestNetkitRestart(t *testing.T) {
	harness.RequireNetkit(t)
	c := harness.NewCluster(t, 2, harness.Options{Netkit: true})
	restarts(t, c)
	c.SetPolicies()
	n := c.Nodes[0]
	old := c.AddPod(n, harness.Role("old"))
	before := old.Device()
	n.RestartCNI(false)
	must(t, old.Start()) // the repetition of an ADD
	if now := old.Device(); now.Type() != "netkit" || now.Attrs().Index != before.Attrs().Index {
		t.Errorf("the pod has a %s of index %d, and had a %s of index %d",
			now.Type(), now.Attrs().Index, before.Type(), before.Attrs().Index)
	}
	young := c.AddPod(n, harness.Role("young"))
	if got := young.Device().Type(); got != "veth" {
		t.Errorf("a new pod has a %s", got)
	}
	n.CloseDatapath()
	n.OpenDatapath()
	oneEach(t, old)
	path{"netkit to veth", &old.Host, &young.Host}.check(t)
	path{"veth to netkit", &young.Host, &old.Host}.check(t)
	must(t, c.RemovePod(old))
	if left := old.Remains(); len(left) > 0 {
		t.Errorf("there remains %q", left)
	}
}
