package pair

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/containernetworking/plugins/pkg/netlinksafe"
	"github.com/containernetworking/plugins/pkg/ns"
	"github.com/vishvananda/netlink"
)

// Verify compares both ends with the plan, and the host end's index with
// index. The MTU is not compared: it may have changed on the node since.
func Verify(p Plan, index int, pod ns.NetNS) error {
	if err := VerifyPod(p, pod); err != nil {
		return err
	}
	link, err := verifyLink(p, p.HostName, p.HostMAC)
	if err != nil {
		return fmt.Errorf("host: %w", err)
	}
	if link.Attrs().Index != index {
		return fmt.Errorf("host: interface %s has index %d, the agent knows %d", p.HostName, link.Attrs().Index, index)
	}
	err = verifyUp(link)
	for _, a := range p.Addresses {
		err = errors.Join(err, verifyNeighbour(link, a.Addr, p.PodMAC),
			verifyRoute(link, &netlink.Route{LinkIndex: index, Dst: hostNet(a.Addr)}))
	}
	if err != nil {
		return fmt.Errorf("host: %w", err)
	}
	return nil
}

// VerifyPod compares the pod's end with the plan.
func VerifyPod(p Plan, pod ns.NetNS) error {
	err := pod.Do(func(ns.NetNS) error {
		link, err := verifyLink(p, p.PodName, p.PodMAC)
		if err != nil {
			return err
		}
		err = verifyUp(link)
		for _, a := range p.Addresses {
			err = errors.Join(err, verifyAddress(link, a.Addr),
				verifyNeighbour(link, a.Gateway, p.HostMAC), verifyRoute(link, defaultRoute(link, a.Gateway)))
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("pod: %w", err)
	}
	return nil
}

func verifyLink(p Plan, name string, mac net.HardwareAddr) (netlink.Link, error) {
	link, err := netlinksafe.LinkByName(name)
	if err != nil {
		return nil, fmt.Errorf("find interface %s: %w", name, err)
	}
	want := "veth"
	if p.Netkit {
		want = "netkit"
	}
	if link.Type() != want {
		return nil, fmt.Errorf("interface %s is a %s, not a %s", name, link.Type(), want)
	}
	if got := link.Attrs().HardwareAddr; !bytes.Equal(got, mac) {
		return nil, fmt.Errorf("interface %s has the address %s, not %s", name, got, mac)
	}
	return link, nil
}

func verifyUp(link netlink.Link) error {
	if link.Attrs().Flags&net.FlagUp == 0 {
		return fmt.Errorf("interface %s is down", link.Attrs().Name)
	}
	return nil
}

func verifyAddress(link netlink.Link, addr netip.Addr) error {
	addrs, err := netlinksafe.AddrList(link, family(addr))
	if err != nil {
		return fmt.Errorf("list addresses: %w", err)
	}
	want := hostNet(addr).String()
	for _, a := range addrs {
		if a.IPNet.String() == want {
			return nil
		}
	}
	return fmt.Errorf("interface %s lacks the address %s", link.Attrs().Name, want)
}

func verifyRoute(link netlink.Link, want *netlink.Route) error {
	mask := netlink.RT_FILTER_OIF | netlink.RT_FILTER_DST
	if want.Gw != nil {
		mask |= netlink.RT_FILTER_GW
	}
	to, _ := netip.AddrFromSlice(want.Dst.IP)
	routes, err := netlinksafe.RouteListFiltered(family(to), want, mask)
	if err != nil {
		return fmt.Errorf("list routes: %w", err)
	}
	if len(routes) == 0 {
		return fmt.Errorf("the route to %s through %s is missing", want.Dst, link.Attrs().Name)
	}
	return nil
}

func verifyNeighbour(link netlink.Link, addr netip.Addr, mac net.HardwareAddr) error {
	neighbours, err := listNeighbours(link.Attrs().Index, family(addr))
	if err != nil {
		return fmt.Errorf("list neighbours: %w", err)
	}
	for _, n := range neighbours {
		if n.IP.Equal(addr.AsSlice()) && n.State == netlink.NUD_PERMANENT && bytes.Equal(n.HardwareAddr, mac) {
			return nil
		}
	}
	return fmt.Errorf("the permanent neighbour %s on %s is missing", addr, link.Attrs().Name)
}

// listNeighbours repeats a dump that a change interrupted; netlinksafe does
// not cover neighbours.
func listNeighbours(index, family int) (list []netlink.Neigh, err error) {
	for range 5 {
		list, err = netlink.NeighList(index, family)
		if !errors.Is(err, netlink.ErrDumpInterrupted) {
			break
		}
	}
	return list, err
}
