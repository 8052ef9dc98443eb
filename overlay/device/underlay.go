package device

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Underlay is what carries WireGuard's packets.
type Underlay struct {
	Devices []string // sorted
	MTU     int      // bytes: of the narrowest device or route
}

// FindUnderlay looks at the device that owns the node address and at those that
// lead to the peers, with the MTU of their routes where one is set. What the
// kernel has learned from ICMP errors does not count: anybody can send those.
// The overlay's own devices are passed over. A peer without a route has none
// now, and counts when it gets one.
func FindUnderlay(address netip.Addr, peers []netip.Addr, overlayDevices ...string) (Underlay, error) {
	u := Underlay{}
	if err := u.own(address, overlayDevices); err != nil {
		return Underlay{}, err
	}
	for _, peer := range peers {
		if err := u.towards(peer, overlayDevices); err != nil {
			return Underlay{}, err
		}
	}
	slices.Sort(u.Devices)
	u.Devices = slices.Compact(u.Devices)
	return u, nil
}

// own takes in the device that has the node address.
func (u *Underlay) own(address netip.Addr, overlayDevices []string) error {
	addrs, err := retry(func() ([]netlink.Addr, error) { return netlink.AddrList(nil, netlink.FAMILY_ALL) })
	if err != nil {
		return fmt.Errorf("list addresses: %w", err)
	}
	for _, a := range addrs {
		if fromIPNet(a.IPNet).Addr() != address {
			continue
		}
		if err := u.add(a.LinkIndex, 0, overlayDevices); err != nil {
			return fmt.Errorf("find the device of %s: %w", address, err)
		}
	}
	if len(u.Devices) == 0 {
		return fmt.Errorf("no device has the node address %s", address)
	}
	return nil
}

func (u *Underlay) towards(peer netip.Addr, overlayDevices []string) error {
	routes, err := netlink.RouteGetWithOptions(peer.AsSlice(), &netlink.RouteGetOptions{FIBMatch: true})
	if errors.Is(err, unix.ENETUNREACH) || errors.Is(err, unix.EHOSTUNREACH) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("find the way to %s: %w", peer, err)
	}
	for _, r := range routes {
		if r.LinkIndex == 0 {
			continue // several next hops, or none: the node address's device stands for them
		}
		if err := u.add(r.LinkIndex, r.MTU, overlayDevices); err != nil {
			return fmt.Errorf("find the device to %s: %w", peer, err)
		}
	}
	return nil
}

// add takes in a device, and the MTU of a route through it, 0: the device's.
func (u *Underlay) add(index, mtu int, overlayDevices []string) error {
	link, err := retry(func() (netlink.Link, error) { return netlink.LinkByIndex(index) })
	if err != nil {
		return err
	}
	attrs := link.Attrs()
	if slices.Contains(overlayDevices, attrs.Name) || attrs.Flags&unix.IFF_LOOPBACK != 0 {
		return nil
	}
	if mtu == 0 || attrs.MTU < mtu {
		mtu = attrs.MTU
	}
	if u.MTU == 0 || mtu < u.MTU {
		u.MTU = mtu
	}
	u.Devices = append(u.Devices, attrs.Name)
	return nil
}
