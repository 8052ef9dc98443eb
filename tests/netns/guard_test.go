package netns_test

import (
	"errors"
	"net/netip"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/signet-cni/signet/overlay"
	"github.com/signet-cni/signet/tests/netns/harness"
)

// outside is the reason of what the guard keeps in.
const outside = "outside-tunnel"

// TestGuard breaks what keeps pods' packets off the underlay, one thing at a
// time: a foreign route, hooks that are gone, a missing translation. Nothing
// gets out, with the agent alive or dead, and the drops are counted.
func TestGuard(t *testing.T) {
	harness.Require(t)
	c := harness.NewCluster(t, 2, harness.Options{})
	n1, n2 := c.Nodes[0], c.Nodes[1]
	pod, b := c.AddPod(n1, harness.Role("a")), c.AddPod(n2, harness.Role("b"))
	t.Run("IPv4", func(t *testing.T) { guards(t, c, pod, n2.PodCIDR, &pod.Host, &n1.Host, &b.Host, c.World) })
	t.Run("IPv6", func(t *testing.T) {
		guards(t, c, pod, n2.PodCIDR6, pod.IPv6(), n1.IPv6(), b.IPv6(), c.World.IPv6())
	})
}

// guards is about one family.
func guards(t *testing.T, c *harness.Cluster, pod *harness.Pod, far netip.Prefix, a, node, b, world *harness.Host) {
	n1 := pod.Node
	defer b.EchoUDP(7)()
	defer world.EchoUDP(7)()
	toPod, toWorld := netip.AddrPortFrom(b.Addr, 7), netip.AddrPortFrom(world.Addr, 7)
	capture := c.Capture()

	restore := n1.LeadOutside(far)
	n1.WantDrops("none", func() { must(t, a.EchoOnce(toPod, []byte("by the hooks"), soon)) })
	hostIsRefused := func() {
		n1.WantDrops(outside, func() {
			if err := node.EchoOnce(toPod, []byte("x"), never); !errors.Is(err, syscall.EPERM) {
				t.Errorf("a process of the node gets %v, want EPERM", err)
			}
		})
	}
	hostIsRefused()
	n1.DetachPod(pod)
	n1.WantDrops(outside, func() { silent(t, a, toPod) })
	n1.CloseDatapath()
	n1.OpenDatapath() // the hooks come back with the agent
	restore()
	n1.WantDrops("none", func() { must(t, node.EchoOnce(toPod, []byte("by the tunnel"), soon)) })

	n1.WantDrops("none", func() { must(t, a.EchoOnce(toWorld, []byte("translated"), soon)) })
	n1.Unmasquerade()
	n1.WantDrops(outside, func() { silent(t, a, toWorld) })
	n1.SetTables()
	n1.WantDrops("none", func() { must(t, a.EchoOnce(toWorld, []byte("translated"), soon)) })
	capture.Stop(2)
}

func silent(t *testing.T, from *harness.Host, to netip.AddrPort) {
	t.Helper()
	if from.EchoOnce(to, []byte("x"), never) == nil {
		t.Errorf("a pod's datagram to %s arrives", to)
	}
}

// TestGuardWithoutIPv6 forwards IPv6 of a pod, which the hooks would drop, on a
// node that has been made to although its cluster has no IPv6 pods.
func TestGuardWithoutIPv6(t *testing.T) {
	harness.Require(t)
	c := harness.NewCluster(t, 1, harness.Options{IPv4Pods: true})
	n, pod := c.Nodes[0], c.AddPod(c.Nodes[0], harness.Role("a"))
	to := netip.MustParseAddr("2001:db8::7")
	n.UseIPv6("eth0", pod.HostIf())
	n.LeadToUplink(to)
	out := pod.Frames("eth0")
	frame := pod.FrameOf(unix.ETH_P_IPV6, harness.IPv6Packet(netip.MustParseAddr("2001:db8:1::1"), to, unix.IPPROTO_UDP, []byte{0, 7, 0, 7, 0, 8, 0, 0}))
	n.WantDrops("spoofed-address", func() { must(t, out.Send(frame, 0)) })
	n.DetachPod(pod)
	n.WantDrops(outside, func() { must(t, out.Send(frame, 0)) })
}

// TestTunnelPort: a pod reaches no node's WireGuard, by no address of it, and so
// do a node's peers from inside the tunnel.
func TestTunnelPort(t *testing.T) {
	harness.Require(t)
	c := harness.NewCluster(t, 2, harness.Options{})
	n1, n2 := c.Nodes[0], c.Nodes[1]
	pod := c.AddPod(n1, harness.Role("pod"))
	must(t, pod.Ping(n2.Addr, 8, soon)) // the handshake is done
	other := netip.MustParseAddr("203.0.113.9")
	n1.AddAddress("lo", other)
	out := pod.UDP(0)
	for _, port := range []uint16{overlay.DefaultPort, overlay.DefaultPort + 1} {
		for _, target := range []struct {
			addr netip.Addr
			node *harness.Node
		}{{n1.Addr, n1}, {other, n1}, {n2.Addr, n2}} {
			target.node.WantDrops("tunnel-port", func() {
				_, err := out.WriteToUDPAddrPort(make([]byte, 148), netip.AddrPortFrom(target.addr, port))
				must(t, err)
			})
		}
	}
	must(t, pod.Ping(n2.Addr, 8, soon))
}

// TestTunnelAddress: what claims an address inside the tunnel, or is for one,
// goes nowhere unless WireGuard has opened it; neither from the underlay nor
// from a pod.
func TestTunnelAddress(t *testing.T) {
	harness.Require(t)
	c := harness.NewCluster(t, 2, harness.Options{})
	n1, n2 := c.Nodes[0], c.Nodes[1]
	pod := c.AddPod(n1, harness.Role("pod"))
	n1.UseIPv6("eth0")
	wire, out := c.UnderlayTap(n1), pod.Frames("eth0")
	inside, outside := n2.Prefix().Addr().Next(), netip.MustParseAddr("2001:db8::1")
	for _, ends := range [][2]netip.Addr{{inside, n1.Prefix().Addr().Next()}, {inside, outside}, {outside, inside}} {
		packet := harness.IPv6Packet(ends[0], ends[1], unix.IPPROTO_UDP, []byte{0, 7, 0, 7, 0, 8, 0, 0})
		n1.WantDrops("tunnel-address", func() { must(t, wire.Send(n1.UnderlayFrameOf(unix.ETH_P_IPV6, packet), 0)) })
		n1.WantDrops("spoofed-address", func() { must(t, out.Send(pod.FrameOf(unix.ETH_P_IPV6, packet), 0)) })
	}
	n1.WantDrops("tunnel-address", func() { // as the kernel's WireGuard does about packets without a peer
		if err := n1.IPv6().EchoOnce(netip.AddrPortFrom(inside, 7), []byte("x"), never); !errors.Is(err, syscall.EPERM) {
			t.Errorf("a process of the node gets %v, want EPERM", err)
		}
	})
}
