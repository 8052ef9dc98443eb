package veth

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// anywhere is 0.0.0.0/0.
func anywhere() *net.IPNet {
	return &net.IPNet{IP: net.IPv4zero.To4(), Mask: net.CIDRMask(0, 32)}
}

// hostNet returns the network that holds only a.
func hostNet(a netip.Addr) *net.IPNet {
	return &net.IPNet{IP: a.AsSlice(), Mask: net.CIDRMask(a.BitLen(), a.BitLen())}
}

func neighbour(link netlink.Link, a netip.Addr, mac net.HardwareAddr) *netlink.Neigh {
	return &netlink.Neigh{
		LinkIndex:    link.Attrs().Index,
		Family:       netlink.FAMILY_V4,
		State:        netlink.NUD_PERMANENT,
		IP:           a.AsSlice(),
		HardwareAddr: mac,
	}
}

// defaultRoute is on-link: no route to the gateway itself is needed.
func defaultRoute(link netlink.Link, gateway netip.Addr) *netlink.Route {
	return &netlink.Route{
		LinkIndex: link.Attrs().Index,
		Dst:       anywhere(),
		Gw:        gateway.AsSlice(),
		Flags:     int(netlink.FLAG_ONLINK),
	}
}

// isGone says whether err means that the link does not exist (any more).
func isGone(err error) bool {
	var notFound netlink.LinkNotFoundError
	return errors.As(err, &notFound) || errors.Is(err, unix.ENODEV)
}

// sysctl sets net.FAMILY.conf.IFNAME.KEY in the calling thread's network
// namespace. A kernel without the family has nothing to set.
func sysctl(family, ifName, key, value string) error {
	dir := filepath.Join("/proc/sys/net", family, "conf")
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err := os.WriteFile(filepath.Join(dir, ifName, key), []byte(value), 0); err != nil {
		return fmt.Errorf("set net.%s.conf.%s.%s: %w", family, ifName, key, err)
	}
	return nil
}
