package device

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// sysctl is one setting of the device, below /proc/sys/net.
type sysctl struct{ path, value string }

// sysctlsOf lists the device's settings.
func sysctlsOf(name string) []sysctl {
	return []sysctl{
		// The stack must not route, announce or answer tunnel addresses. The
		// hooks run before it and see every packet all the same.
		{"ipv6/conf/" + name + "/disable_ipv6", "1"},
		// Remote hosts send from addresses that route to another device.
		{"ipv4/conf/" + name + "/rp_filter", "2"},
	}
}

// setSysctls is tolerant of a kernel without IPv6.
func setSysctls(name string) (changed []string, err error) {
	for _, s := range sysctlsOf(name) {
		path := filepath.Join("/proc/sys/net", s.path)
		have, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) && strings.HasPrefix(s.path, "ipv6/") {
			continue
		}
		if err != nil {
			return changed, fmt.Errorf("read setting: %w", err)
		}
		if strings.TrimSpace(string(have)) == s.value {
			continue
		}
		if err := os.WriteFile(path, []byte(s.value), 0o644); err != nil {
			return changed, fmt.Errorf("write setting: %w", err)
		}
		changed = append(changed, fmt.Sprintf("%s=%s", s.path, s.value))
	}
	return changed, nil
}

func setMTU(link netlink.Link, mtu int) ([]string, error) {
	if link.Attrs().MTU == mtu {
		return nil, nil
	}
	if err := netlink.LinkSetMTU(link, mtu); err != nil {
		return nil, fmt.Errorf("set MTU %d: %w", mtu, err)
	}
	return []string{fmt.Sprintf("mtu %d", mtu)}, nil
}

func setUp(link netlink.Link) ([]string, error) {
	if link.Attrs().Flags&net.FlagUp != 0 {
		return nil, nil
	}
	if err := netlink.LinkSetUp(link); err != nil {
		return nil, fmt.Errorf("set up: %w", err)
	}
	return []string{"up"}, nil
}

// setAddress puts the node's own address on the device, as a /32 of global
// scope, and removes any other IPv4 address. Masquerading asks the outgoing
// device for its address; without this one (or with one of smaller scope) it
// would take that of some other device, which the receiving node refuses.
//
// The price: a host process that picks its multicast device by the node's
// address, instead of by name or index, now gets this device.
func setAddress(link netlink.Link, address netip.Addr) (changed []string, err error) {
	have, err := retry(func() ([]netlink.Addr, error) { return netlink.AddrList(link, netlink.FAMILY_V4) })
	if err != nil {
		return nil, fmt.Errorf("list addresses: %w", err)
	}
	want := netip.PrefixFrom(address, address.BitLen())
	present := false
	for _, a := range have {
		present = present || rightAddress(a, want)
	}
	if !present {
		addr := &netlink.Addr{IPNet: toIPNet(want), Scope: int(netlink.SCOPE_UNIVERSE)}
		if err := netlink.AddrReplace(link, addr); err != nil {
			return nil, fmt.Errorf("add address %s: %w", want, err)
		}
		changed = append(changed, "address "+want.String())
	}
	for _, a := range have {
		if rightAddress(a, want) {
			continue
		}
		if err := netlink.AddrDel(link, &a); err != nil && !errors.Is(err, unix.EADDRNOTAVAIL) {
			return changed, fmt.Errorf("remove address %s: %w", a.IPNet, err)
		}
		changed = append(changed, "no address "+a.IPNet.String())
	}
	return changed, nil
}

func rightAddress(a netlink.Addr, want netip.Prefix) bool {
	return fromIPNet(a.IPNet) == want && a.Scope == int(netlink.SCOPE_UNIVERSE)
}
