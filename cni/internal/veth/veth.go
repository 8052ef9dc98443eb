// Package veth makes, opens, verifies and removes the interface pair of one
// pod. All functions act on the network namespace of the calling process, the
// host's; the pod's namespace is passed in.
package veth

import (
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/containernetworking/plugins/pkg/netlinksafe"
	"github.com/containernetworking/plugins/pkg/ns"
	"github.com/vishvananda/netlink"
)

// Plan is a pod's interface pair, wholly determined before anything is made.
type Plan struct {
	HostName, PodName string
	HostMAC, PodMAC   net.HardwareAddr
	Addr              netip.Addr // of the pod, IPv4
	Gateway           netip.Addr // next hop of the pod's default route
	NodeAddr          netip.Addr // source of what the host sends to the pod
	MTU               int        // bytes, of both ends
}

// Create makes the pair, with the pod's end configured and the host's end
// down: no packet passes until Open. It returns the host end's index. On an
// error the caller removes what exists with Delete.
func Create(p Plan, pod ns.NetNS) (int, error) {
	attrs := netlink.NewLinkAttrs()
	attrs.Name = p.HostName
	attrs.MTU = p.MTU
	attrs.HardwareAddr = p.HostMAC
	pair := netlink.NewVeth(attrs)
	pair.PeerName = p.PodName
	pair.PeerHardwareAddr = p.PodMAC
	pair.PeerMTU = uint32(p.MTU)
	pair.PeerNamespace = netlink.NsFd(int(pod.Fd()))
	if err := netlink.LinkAdd(pair); err != nil {
		return 0, fmt.Errorf("create interfaces %s and, in the pod, %s: %w", p.HostName, p.PodName, err)
	}
	if err := quietHost(p.HostName); err != nil {
		return 0, err
	}
	if err := pod.Do(func(ns.NetNS) error { return setUpPod(p) }); err != nil {
		return 0, fmt.Errorf("configure %s in the pod: %w", p.PodName, err)
	}
	index, ok, err := Index(p.HostName)
	if err == nil && !ok {
		err = fmt.Errorf("host interface %s vanished", p.HostName)
	}
	return index, err
}

// quietHost keeps the host's end from speaking or answering for itself.
func quietHost(name string) error {
	return errors.Join(
		sysctl("ipv6", name, "disable_ipv6", "1"),
		sysctl("ipv4", name, "proxy_arp", "0"),
	)
}

// setUpPod runs in the pod's namespace. IPv6 goes off while the interface is
// still down, so that not one router solicitation leaves it.
func setUpPod(p Plan) error {
	if err := errors.Join(
		sysctl("ipv6", p.PodName, "accept_ra", "0"),
		sysctl("ipv6", p.PodName, "disable_ipv6", "1"),
	); err != nil {
		return err
	}
	link, err := netlinksafe.LinkByName(p.PodName)
	if err != nil {
		return err
	}
	if err := netlink.LinkSetUp(link); err != nil {
		return fmt.Errorf("set up: %w", err)
	}
	if err := netlink.AddrAdd(link, &netlink.Addr{IPNet: hostNet(p.Addr)}); err != nil {
		return fmt.Errorf("add address %s: %w", p.Addr, err)
	}
	if err := netlink.NeighSet(neighbour(link, p.Gateway, p.HostMAC)); err != nil {
		return fmt.Errorf("add neighbour %s: %w", p.Gateway, err)
	}
	// RouteAdd, not RouteReplace: a default route that somebody else made is
	// not ours to take away.
	if err := netlink.RouteAdd(defaultRoute(link, p.Gateway)); err != nil {
		return fmt.Errorf("add default route via %s: %w", p.Gateway, err)
	}
	return nil
}

// Open lets packets through: it sets the host's end up and gives the host the
// neighbour and the route to the pod. It may be repeated.
func Open(p Plan) error {
	link, err := netlinksafe.LinkByName(p.HostName)
	if err != nil {
		return fmt.Errorf("find host interface %s: %w", p.HostName, err)
	}
	if err := netlink.LinkSetUp(link); err != nil {
		return fmt.Errorf("set up host interface %s: %w", p.HostName, err)
	}
	if err := netlink.NeighSet(neighbour(link, p.Addr, p.PodMAC)); err != nil {
		return fmt.Errorf("add neighbour %s on %s: %w", p.Addr, p.HostName, err)
	}
	route := &netlink.Route{
		LinkIndex: link.Attrs().Index,
		Dst:       hostNet(p.Addr),
		Scope:     netlink.SCOPE_LINK,
		Src:       p.NodeAddr.AsSlice(),
	}
	if err := netlink.RouteReplace(route); err != nil {
		return fmt.Errorf("add route %s dev %s src %s: %w", p.Addr, p.HostName, p.NodeAddr, err)
	}
	return nil
}

// Delete removes the pair by the name of its host end. That there is none is
// no error.
func Delete(hostName string) error {
	link, err := netlinksafe.LinkByName(hostName)
	if isGone(err) {
		return nil
	}
	if err == nil {
		err = netlink.LinkDel(link)
	}
	if err != nil && !isGone(err) {
		return fmt.Errorf("remove host interface %s: %w", hostName, err)
	}
	return nil
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
