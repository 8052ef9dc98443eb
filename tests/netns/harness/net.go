package harness

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// gateways are the router's addresses on every underlay link.
var gateways = []netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")}

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
	addr := &netlink.Addr{IPNet: hostNet(a)}
	if a.Is6() {
		addr.Flags = unix.IFA_F_NODAD
	}
	return netlink.AddrReplace(link, addr)
}

// addRoute leads dst to a device and, if via is valid, to a gateway there.
func addRoute(name string, dst *net.IPNet, via netip.Addr) error {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return fmt.Errorf("find %s: %w", name, err)
	}
	r := &netlink.Route{Dst: dst, LinkIndex: link.Attrs().Index}
	if dst.IP.To4() != nil {
		r.Scope = netlink.SCOPE_LINK
	}
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
	return errors.Join(sysctl("ipv4/ip_forward", "1"), sysctl("ipv6/conf/all/forwarding", "1"))
}

// speakIPv6 enables IPv6 on a device of the underlay that is still down: it gets
// a link-local address, without which it could not ask for neighbours, and
// heeds no router.
func speakIPv6(name string) error {
	var errs []error
	for setting, value := range map[string]string{
		"accept_ra": "0", "autoconf": "0", "dad_transmits": "0", "accept_dad": "0", "disable_ipv6": "0",
	} {
		errs = append(errs, sysctl("ipv6/conf/"+name+"/"+setting, value))
	}
	return errors.Join(errs...)
}

// plug joins a namespace to the underlay: device outer in the router's
// namespace, eth0 on the other side, with addresses, at most one of each family,
// and default routes.
func (n *Namespace) plug(outer string, mtu int, addrs ...netip.Addr) error {
	pair := &netlink.Veth{
		LinkAttrs: netlink.LinkAttrs{Name: outer, MTU: mtu},
		PeerName:  "eth0", PeerNamespace: netlink.NsPid(n.tid), PeerMTU: uint32(mtu),
	}
	if err := netlink.LinkAdd(pair); err != nil {
		return fmt.Errorf("create %s: %w", outer, err)
	}
	n.t.Cleanup(func() { _ = netlink.LinkDel(pair) }) // gone with its namespace, usually
	err := errors.Join(speakIPv6(outer), linkUp(outer), n.Try(func() error { return errors.Join(speakIPv6("eth0"), linkUp("eth0")) }))
	for _, addr := range addrs {
		via := gatewayFor(addr)
		err = errors.Join(err, addAddress(outer, via), addRoute(outer, hostNet(addr), netip.Addr{}), n.Try(func() error {
			return errors.Join(addAddress("eth0", addr), addRoute("eth0", anywhere(addr), via))
		}))
	}
	if err != nil {
		return fmt.Errorf("plug in %s: %w", n.name, err)
	}
	return nil
}

// gatewayFor is the router as a host with this address sees it.
func gatewayFor(addr netip.Addr) netip.Addr {
	if addr.Is4() {
		return gateways[0]
	}
	return gateways[1]
}

// anywhere is the default destination of an address's family.
func anywhere(addr netip.Addr) *net.IPNet {
	if addr.Is4() {
		return ipNet("0.0.0.0/0")
	}
	return ipNet("::/0")
}

// Neighbours lists what the namespace believes of its neighbours, as text.
func (n *Namespace) Neighbours() string {
	n.t.Helper()
	var lines []string
	n.Do(func() error {
		list, err := netlink.NeighList(0, netlink.FAMILY_ALL)
		for _, e := range list {
			if e.State != netlink.NUD_PERMANENT {
				continue // the underlay's come and go
			}
			lines = append(lines, fmt.Sprintf("%d %s %s", e.LinkIndex, e.IP, e.HardwareAddr))
		}
		return err
	})
	slices.Sort(lines)
	return strings.Join(lines, ", ")
}

// Routes6 lists the namespace's IPv6 routes and addresses, as text.
func (n *Namespace) Routes6() string {
	n.t.Helper()
	var lines []string
	n.Do(func() error {
		routes, err := netlink.RouteList(nil, netlink.FAMILY_V6)
		for _, r := range routes {
			lines = append(lines, fmt.Sprintf("%s via %s dev %d", r.Dst, r.Gw, r.LinkIndex))
		}
		addrs, addrErr := netlink.AddrList(nil, netlink.FAMILY_V6)
		for _, a := range addrs {
			lines = append(lines, fmt.Sprintf("%s dev %d", a.IPNet, a.LinkIndex))
		}
		return errors.Join(err, addrErr)
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
