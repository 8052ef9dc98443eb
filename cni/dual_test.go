package cni_test

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/containernetworking/plugins/pkg/netlinksafe"
	"github.com/containernetworking/plugins/pkg/ns"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/signet-cni/signet/cni"
)

const podCIDR6 = "fd00:198:1::/64"

// startDual returns a running agent of a node with ranges of both families.
func startDual(t *testing.T) *agent {
	t.Helper()
	a := newAgent(t, "198.18.1.0/24")
	a.node.PodCIDR6, a.node.Addr6 = mustPrefix(podCIDR6), nodeAddr6
	a.start(t)
	return a
}

// The first sixteen numbers of the range are the node's.
var firstAddr6 = netip.MustParseAddr("fd00:198:1::10")

func TestDualStackAdd(t *testing.T) {
	a := startDual(t)
	p := newPod(t, a, "vip")
	spoken := overhear(t, a, p)
	result, first := p.add(t)
	t.Run("result", func(t *testing.T) {
		var got []string
		for n, ip := range result.IPs {
			got = append(got, ip.Address.String(), ip.Gateway.String(), result.Routes[n].Dst.String(), result.Routes[n].GW.String())
		}
		want := "198.18.1.2/32 169.254.7.1 0.0.0.0/0 169.254.7.1 fd00:198:1::10/128 fe80::1 ::/0 fe80::1"
		if strings.Join(got, " ") != want {
			t.Errorf("got %v", got)
		}
	})
	t.Run("pod side", func(t *testing.T) { p.inside(t, func() error { return podSide6(t, key(p.id).HostMAC().String()) }) })
	t.Run("host side", func(t *testing.T) { hostSide6(t, key(p.id).HostIfName()) })
	t.Run("traffic", func(t *testing.T) {
		err := errors.Join(p.podToHost(), p.podTo(nodeAddr6), p.hostToPod(firstAddr6), p.hostToPod(netip.MustParseAddr("198.18.1.2")))
		if err != nil {
			t.Error(err)
		}
	})
	t.Run("the host is silent", func(t *testing.T) {
		if said := spoken(); len(said) > 0 {
			t.Errorf("the host said %x", said)
		}
	})
	p.call("CHECK", p.conf(first)).wantOK(t)
	p.call("CHECK", p.conf(strings.ReplaceAll(first, "fd00:198:1::10", "fd00:198:1::11"))).wantError(t, 999, firstAddr6.String())
	if _, again := p.add(t); again != first {
		t.Errorf("the second ADD answered %s, the first %s", again, first)
	}
	p.do("DEL").wantOK(t)
	a.wantNothing(t)
}

// overhear listens inside the pod from before its interface opens, for what the
// host's end says of routers and neighbours (RFC 4861). That it leaves the
// group of all routers, which every device of a router is born into, does not
// count.
func overhear(t *testing.T, a *agent, p *pod) (heard func() [][]byte) {
	fd := -1
	a.network.onConnect = func(context.Context, cni.Endpoint) error {
		if fd >= 0 {
			return nil
		}
		return p.netns.Do(func(ns.NetNS) (err error) {
			fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM, int(htons(unix.ETH_P_IPV6)))
			return err
		})
	}
	t.Cleanup(func() { _ = unix.Close(fd) })
	return func() (packets [][]byte) {
		wait := unix.Timeval{Usec: 500_000} // it would be the first thing that an interface does
		if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &wait); err != nil {
			t.Fatal(err)
		}
		for {
			buf := make([]byte, 2048)
			n, from, err := unix.Recvfrom(fd, buf, 0)
			if errors.Is(err, unix.EAGAIN) {
				return packets
			}
			if err != nil {
				t.Fatal(err)
			}
			const icmpv6, firstND, lastND = 58, 133, 137
			l, ok := from.(*unix.SockaddrLinklayer)
			incoming := ok && l.Pkttype != unix.PACKET_OUTGOING
			if incoming && n > 40 && buf[6] == icmpv6 && buf[40] >= firstND && buf[40] <= lastND {
				packets = append(packets, buf[:n])
			}
		}
	}
}

func htons(v uint16) uint16 { return v<<8 | v>>8 }

func podSide6(t *testing.T, hostMAC string) error {
	link, err := netlinksafe.LinkByName("eth0")
	if err != nil {
		return err
	}
	addrs, err := netlinksafe.AddrList(link, netlink.FAMILY_ALL)
	if err != nil {
		return err
	}
	if len(addrs) != 2 || addrs[1].IPNet.String() != "fd00:198:1::10/128" {
		t.Errorf("addresses %v", addrs)
	}
	routes, err := netlinksafe.RouteList(nil, netlink.FAMILY_V6)
	if err != nil {
		return err
	}
	if len(routes) != 1 || routes[0].Gw.String() != "fe80::1" || routes[0].Dst.String() != "::/0" {
		t.Errorf("routes %v", routes)
	}
	wantNeighbour(t, link, "fe80::1", hostMAC)
	wantQuiet(t, "eth0")
	return nil
}

func hostSide6(t *testing.T, name string) {
	link, err := netlinksafe.LinkByName(name)
	if err != nil {
		t.Fatal(err)
	}
	addrs, err := netlinksafe.AddrList(link, netlink.FAMILY_ALL)
	if err != nil || len(addrs) != 0 {
		t.Errorf("addresses %v, %v", addrs, err)
	}
	routes, err := netlinksafe.RouteList(link, netlink.FAMILY_V6)
	if err != nil || len(routes) != 1 || routes[0].Dst.String() != "fd00:198:1::10/128" || routes[0].Src.String() != nodeAddr6.String() {
		t.Errorf("routes %v, %v", routes, err)
	}
	wantNeighbour(t, link, firstAddr6.String(), key("c-vip").PodMAC().String())
	wantQuiet(t, name)
}

func wantQuiet(t *testing.T, name string) {
	t.Helper()
	for setting, want := range map[string]string{
		"disable_ipv6": "0", "accept_ra": "0", "autoconf": "0", "addr_gen_mode": "1", "accept_redirects": "0",
		"dad_transmits": "0", "proxy_ndp": "0", "forwarding": "0",
	} {
		wantSysctl(t, "ipv6/conf/"+name+"/"+setting, want)
	}
}

// TestDualStackCheck: CHECK misses whatever of IPv6 is damaged.
func TestDualStackCheck(t *testing.T) {
	onPod := func(change func(netlink.Link) error) func(*testing.T, *pod) {
		return func(t *testing.T, p *pod) {
			p.inside(t, func() error {
				l, err := netlinksafe.LinkByName("eth0")
				if err != nil {
					return err
				}
				return change(l)
			})
		}
	}
	onHost := func(change func(netlink.Link) error) func(*testing.T, *pod) {
		return func(t *testing.T, p *pod) {
			l, err := netlinksafe.LinkByName(key(p.id).HostIfName())
			if err == nil {
				err = change(l)
			}
			if err != nil {
				t.Error(err)
			}
		}
	}
	route := func(dst string) func(netlink.Link) error {
		return func(l netlink.Link) error {
			return netlink.RouteDel(&netlink.Route{LinkIndex: l.Attrs().Index, Dst: ipNet(mustPrefix(dst))})
		}
	}
	for _, tt := range []struct {
		name   string
		damage func(*testing.T, *pod)
		words  string
	}{
		{"pod address", onPod(func(l netlink.Link) error {
			return netlink.AddrDel(l, &netlink.Addr{IPNet: ipNet(netip.PrefixFrom(firstAddr6, 128))})
		}), "lacks the address fd00:198:1::10/128"},
		{"pod route", onPod(route("::/0")), "route to ::/0"},
		{"pod neighbour", onPod(deleteNeighbours6), "neighbour fe80::1"},
		{"host route", onHost(route("fd00:198:1::10/128")), "route to fd00:198:1::10/128"},
		{"host neighbour", onHost(deleteNeighbours6), "neighbour fd00:198:1::10"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := startDual(t)
			p := newPod(t, a, "checked")
			_, result := p.add(t)
			p.call("CHECK", p.conf(result)).wantOK(t)
			tt.damage(t, p)
			p.call("CHECK", p.conf(result)).wantError(t, 999, tt.words)
			p.add(t) // makes the interface anew
			if err := errors.Join(p.podTo(nodeAddr6), p.hostToPod(a.manager.Endpoints()[0].Addr6)); err != nil {
				t.Error(err)
			}
			p.do("DEL").wantOK(t)
			a.wantNothing(t)
		})
	}
}

func deleteNeighbours6(l netlink.Link) error {
	list, err := netlink.NeighList(l.Attrs().Index, netlink.FAMILY_V6)
	for _, n := range list {
		err = errors.Join(err, netlink.NeighDel(&n))
	}
	return err
}

// TestDualStackRanges: what the node says of IPv6 is not believed, and an ADD
// that fails for IPv6 leaves nothing of IPv4 either.
func TestDualStackRanges(t *testing.T) {
	a := startDual(t)
	p := newPod(t, a, "ranged")
	for _, bad := range []struct{ name, cidr, addr, words string }{
		{"a /80", "fd00:198:1::/80", "2001:db8::1", "not an IPv6 /64"},
		{"a /48", "fd00:198:1::/48", "2001:db8::1", "not an IPv6 /64"},
		{"IPv4", "198.18.2.0/24", "2001:db8::1", "not an IPv6 /64"},
		{"no address of the node", podCIDR6, "", "no usable IPv6 address"},
		{"a link-local address of the node", podCIDR6, "fe80::2", "no usable IPv6 address"},
	} {
		a.setNode(func(n *cni.Node) {
			n.PodCIDR6, n.Addr6 = mustPrefix(bad.cidr), netip.Addr{}
			if bad.addr != "" {
				n.Addr6 = netip.MustParseAddr(bad.addr)
			}
		})
		p.do("STATUS").wantError(t, 50, bad.words)
		p.do("ADD").wantError(t, 11, bad.words)
		a.wantNothing(t)
	}

	a.setNode(func(n *cni.Node) { n.PodCIDR6, n.Addr6 = mustPrefix(podCIDR6), netip.MustParseAddr("2001:db8::99") })
	p.do("ADD").wantError(t, 999, "src 2001:db8::99") // the host's route, the last step
	a.wantNothing(t)
	if links := p.links(t); len(links) != 1 {
		t.Errorf("interfaces %v left in the pod", links)
	}
}

// TestDualStackRestart: endpoints keep both addresses; those of an agent that
// knew no IPv6 go on without, and a file that lies about either is refused.
func TestDualStackRestart(t *testing.T) {
	a := startDual(t)
	old, kept, liar := newPod(t, a, "old"), newPod(t, a, "kept"), newPod(t, a, "liar")
	a.setNode(func(n *cni.Node) { n.PodCIDR6 = netip.Prefix{} })
	old.add(t)
	a.setNode(func(n *cni.Node) { n.PodCIDR6 = mustPrefix(podCIDR6) })
	_, first := kept.add(t)
	liar.add(t)
	a.stop()
	rewrite(t, filepath.Join(a.dir, "endpoints", key(liar.id).HostIfName()+".json"), "fd00:198:1::11", "fd00:198:1::10")
	a.start(t)
	got := map[string][]netip.Addr{}
	for _, ep := range a.manager.Endpoints() {
		got[ep.Pod] = ep.Addrs()
	}
	if len(got) != 2 || len(got["old"]) != 1 || !slices.Equal(got["kept"], []netip.Addr{netip.MustParseAddr("198.18.1.3"), firstAddr6}) {
		t.Errorf("endpoints %v", got)
	}
	if _, second := kept.add(t); second != first {
		t.Errorf("ADD after the restart answered %s, before %s", second, first)
	}
	if err := errors.Join(old.podToHost(), kept.podTo(nodeAddr6)); err != nil {
		t.Error(err)
	}
	for _, p := range []*pod{old, kept, liar} {
		p.do("DEL").wantOK(t)
	}
	if addrs, links := a.addresses(t), hostLinks(t); len(addrs)+len(links) > 0 {
		t.Errorf("addresses %v and interfaces %v left", addrs, links)
	}
}

func rewrite(t *testing.T, path, old, with string) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	changed := strings.ReplaceAll(string(data), old, with)
	if changed == string(data) {
		t.Fatalf("%s does not hold %s", path, old)
	}
	if err := os.WriteFile(path, []byte(changed), 0o600); err != nil {
		t.Fatal(err)
	}
}
