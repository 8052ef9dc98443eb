// Package pair makes, opens, verifies and removes the interface pair of one
// pod: of veth or of netkit devices. All functions act on the network namespace
// of the calling process, the host's; the pod's namespace is passed in.
package pair

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"

	"github.com/containernetworking/plugins/pkg/netlinksafe"
	"github.com/containernetworking/plugins/pkg/ns"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Plan is a pod's interface pair, wholly determined before anything is made.
type Plan struct {
	HostName, PodName string
	HostMAC, PodMAC   net.HardwareAddr
	Addresses         []Address // at most one of each family
	MTU               int       // bytes, of both ends
	Netkit            bool      // netkit devices instead of veth
}

// Address is how the pod is reached by one family.
type Address struct {
	Addr     netip.Addr // of the pod
	Gateway  netip.Addr // next hop of the pod's default route
	NodeAddr netip.Addr // source of what the host sends to the pod
}

// hasIPv6 says whether any of the addresses is of IPv6.
func (p Plan) hasIPv6() bool {
	return slices.ContainsFunc(p.Addresses, func(a Address) bool { return a.Addr.Is6() })
}

// Create makes the pair, with the pod's end configured and the host's end
// down: no packet passes until Open. It returns the host end's index. A pair that
// a killed ADD left makes way. On an error the caller removes what exists with
// Delete.
func Create(p Plan, pod ns.NetNS) (int, error) {
	err := add(p, pod)
	if errors.Is(err, unix.EEXIST) {
		if err = Delete(p.HostName); err == nil {
			err = add(p, pod)
		}
	}
	if err != nil {
		return 0, fmt.Errorf("create interfaces %s and, in the pod, %s: %w", p.HostName, p.PodName, err)
	}
	link, err := netlinksafe.LinkByName(p.HostName)
	if err != nil {
		return 0, fmt.Errorf("find host interface %s: %w", p.HostName, err)
	}
	if err := errors.Join(setUpIPv6(link, p), sysctl("ipv4", p.HostName, setting{"proxy_arp", "0"})); err != nil {
		return 0, err
	}
	if err := within(pod, func() error { return setUpPod(p) }); err != nil {
		return 0, fmt.Errorf("configure %s in the pod: %w", p.PodName, err)
	}
	return link.Attrs().Index, nil
}

// add makes both ends where they belong, in one request.
func add(p Plan, pod ns.NetNS) error {
	attrs := netlink.NewLinkAttrs()
	attrs.Name = p.HostName
	attrs.MTU = p.MTU
	attrs.HardwareAddr = p.HostMAC
	if p.Netkit {
		return netlink.LinkAdd(netkit(attrs, p, pod))
	}
	pair := netlink.NewVeth(attrs)
	pair.PeerName = p.PodName
	pair.PeerHardwareAddr = p.PodMAC
	pair.PeerMTU = uint32(p.MTU)
	pair.PeerNamespace = netlink.NsFd(int(pod.Fd()))
	return netlink.LinkAdd(pair)
}

// setUpPod runs in the pod's namespace. IPv6 is made quiet while the interface
// is still down, so that not one router solicitation leaves it.
func setUpPod(p Plan) error {
	link, err := netlinksafe.LinkByName(p.PodName)
	if err != nil {
		return err
	}
	if err := setUpIPv6(link, p); err != nil {
		return err
	}
	if err := netlink.LinkSetUp(link); err != nil {
		return fmt.Errorf("set up: %w", err)
	}
	for _, a := range p.Addresses {
		if err := addToPod(link, a, p.HostMAC); err != nil {
			return err
		}
	}
	return nil
}

// addToPod needs no neighbour discovery, neither for the address itself nor
// for its gateway: the hooks let none of it through.
func addToPod(link netlink.Link, a Address, hostMAC net.HardwareAddr) error {
	addr := &netlink.Addr{IPNet: hostNet(a.Addr)}
	if a.Addr.Is6() {
		addr.Flags = unix.IFA_F_NODAD | unix.IFA_F_NOPREFIXROUTE
	}
	if err := netlink.AddrAdd(link, addr); err != nil {
		return fmt.Errorf("add address %s: %w", a.Addr, err)
	}
	if err := netlink.NeighSet(neighbour(link, a.Gateway, hostMAC)); err != nil {
		return fmt.Errorf("add neighbour %s: %w", a.Gateway, err)
	}
	// RouteAdd, not RouteReplace: a default route that somebody else made is
	// not ours to take away.
	if err := netlink.RouteAdd(defaultRoute(link, a.Gateway)); err != nil {
		return fmt.Errorf("add default route via %s: %w", a.Gateway, err)
	}
	return nil
}

// Open lets packets through: it sets the host's end, of the given index, up,
// gives the host the neighbour and the route to the pod, and waits until the pod's
// end carries packets too. It may be repeated.
func Open(p Plan, index int, pod ns.NetNS) error {
	link := &netlink.GenericLink{LinkAttrs: netlink.LinkAttrs{Name: p.HostName, Index: index}}
	if err := netlink.LinkSetUp(link); err != nil {
		return fmt.Errorf("set up host interface %s: %w", p.HostName, err)
	}
	for _, a := range p.Addresses {
		if err := netlink.NeighSet(neighbour(link, a.Addr, p.PodMAC)); err != nil {
			return fmt.Errorf("add neighbour %s on %s: %w", a.Addr, p.HostName, err)
		}
		if err := netlink.RouteReplace(hostRoute(link, a)); err != nil {
			return fmt.Errorf("add route %s dev %s src %s: %w", a.Addr, p.HostName, a.NodeAddr, err)
		}
	}
	return awaitCarrying(p, pod)
}

// hostRoute leads the host to the pod. (IPv6 routes have no scope.)
func hostRoute(link netlink.Link, a Address) *netlink.Route {
	route := &netlink.Route{LinkIndex: link.Attrs().Index, Dst: hostNet(a.Addr), Src: a.NodeAddr.AsSlice()}
	if a.Addr.Is4() {
		route.Scope = netlink.SCOPE_LINK
	}
	return route
}

// Index returns the index of a host interface, and whether it exists.
func Index(hostName string) (int, bool, error) {
	link, err := netlinksafe.LinkByName(hostName)
	if isGone(err) {
		return 0, false, nil
	}
	if err != nil {
		return 0, false, fmt.Errorf("find host interface %s: %w", hostName, err)
	}
	return link.Attrs().Index, true, nil
}
