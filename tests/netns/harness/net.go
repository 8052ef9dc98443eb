package harness

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"
)

// gateway is the router's address on every underlay link.
var gateway = netip.MustParseAddr("192.0.2.1")

// ipNet panics on anything but a prefix: its arguments are constants.
func ipNet(prefix string) *net.IPNet {
	ip, ipnet, err := net.ParseCIDR(prefix)
	if err != nil {
		panic(err)
	}
	ipnet.IP = ip
	return ipnet
}

func hostNet(a netip.Addr) *net.IPNet { return ipNet(netip.PrefixFrom(a, a.BitLen()).String()) }

// sysctl sets what lies below /proc/sys/net in the caller's namespace.
func sysctl(path, value string) error {
	return os.WriteFile("/proc/sys/net/"+path, []byte(value), 0o644)
}

func linkUp(name string) error {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return fmt.Errorf("find %s: %w", name, err)
	}
	return netlink.LinkSetUp(link)
}

// AddAddress gives a device of the namespace one more address.
func (n *Namespace) AddAddress(device string, a netip.Addr) {
	n.t.Helper()
	n.Do(func() error { return addAddress(device, a) })
}

func addAddress(name string, a netip.Addr) error {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return fmt.Errorf("find %s: %w", name, err)
	}
	return netlink.AddrReplace(link, &netlink.Addr{IPNet: hostNet(a)})
}

// addRoute leads dst to a device and, if via is valid, to a gateway there.
func addRoute(name string, dst *net.IPNet, via netip.Addr) error {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return fmt.Errorf("find %s: %w", name, err)
	}
	r := &netlink.Route{Dst: dst, LinkIndex: link.Attrs().Index, Scope: netlink.SCOPE_LINK}
	if via.IsValid() {
		r.Gw, r.Scope, r.Flags = via.AsSlice(), netlink.SCOPE_UNIVERSE, int(netlink.FLAG_ONLINK)
	}
	return netlink.RouteReplace(r)
}

// prepareRouter makes the caller's namespace forward packets.
func prepareRouter() error {
	if err := quiet(); err != nil {
		return err
	}
	if err := linkUp("lo"); err != nil {
		return err
	}
	return sysctl("ipv4/ip_forward", "1")
}

// plug joins a namespace to the underlay: device outer in the router's
// namespace, eth0 on the other side, with an address and a default route.
func (n *Namespace) plug(outer string, addr netip.Addr, mtu int) error {
	pair := &netlink.Veth{
		LinkAttrs: netlink.LinkAttrs{Name: outer, MTU: mtu},
		PeerName:  "eth0", PeerNamespace: netlink.NsPid(n.tid), PeerMTU: uint32(mtu),
	}
	if err := netlink.LinkAdd(pair); err != nil {
		return fmt.Errorf("create %s: %w", outer, err)
	}
	n.t.Cleanup(func() { _ = netlink.LinkDel(pair) }) // gone with its namespace, usually
	for _, step := range []func() error{
		func() error { return linkUp(outer) },
		func() error { return addAddress(outer, gateway) },
		func() error { return addRoute(outer, hostNet(addr), netip.Addr{}) },
		func() error { return n.Try(func() error { return configureUplink(addr) }) },
	} {
		if err := step(); err != nil {
			return fmt.Errorf("plug in %s: %w", n.name, err)
		}
	}
	return nil
}

func configureUplink(addr netip.Addr) error {
	if err := linkUp("eth0"); err != nil {
		return err
	}
	if err := addAddress("eth0", addr); err != nil {
		return err
	}
	return addRoute("eth0", ipNet("0.0.0.0/0"), gateway)
}

// Neighbours lists what the namespace believes of its neighbours, as text.
func (n *Namespace) Neighbours() string {
	n.t.Helper()
	var lines []string
	n.Do(func() error {
		list, err := netlink.NeighList(0, netlink.FAMILY_V4)
		for _, e := range list {
			lines = append(lines, fmt.Sprintf("%d %s %s", e.LinkIndex, e.IP, e.HardwareAddr))
		}
		return err
	})
	slices.Sort(lines)
	return strings.Join(lines, ", ")
}

// SetLink sets a device of the namespace up or down.
func (n *Namespace) SetLink(name string, up bool) error {
	return n.Try(func() error {
		if up {
			return linkUp(name)
		}
		link, err := netlink.LinkByName(name)
		if err != nil {
			return fmt.Errorf("find %s: %w", name, err)
		}
		return netlink.LinkSetDown(link)
	})
}
