package device

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// sysctl is one setting of the device, below /proc/sys/net.
type sysctl struct{ path, value string }

// sysctlsOf lists the device's settings. The hooks run before the stack and see
// every packet whatever these are. With ipv6 the stack routes the host's own
// traffic; it never has an address but the one it is given, and neither sends
// nor heeds what routers and neighbours say. Whether the node forwards is not
// decided here but by "all".
func sysctlsOf(name string, ipv6 bool) []sysctl {
	dir := "ipv6/conf/" + name + "/"
	disable := "1"
	if ipv6 {
		disable = "0"
	}
	return []sysctl{
		{dir + "accept_ra", "0"},
		{dir + "autoconf", "0"},
		{dir + "addr_gen_mode", "1"}, // IN6_ADDR_GEN_MODE_NONE
		{dir + "accept_redirects", "0"},
		{dir + "dad_transmits", "0"},
		{dir + "forwarding", "0"}, // joins no group of routers
		{dir + "disable_ipv6", disable},
		// Remote hosts send from addresses that route to another device.
		{"ipv4/conf/" + name + "/rp_filter", "2"},
	}
}

// setSysctls is tolerant of a device without IPv6: the kernel may have none, or
// the device's MTU be below 1280.
func setSysctls(name string, ipv6 bool) (changed []string, err error) {
	for _, s := range sysctlsOf(name, ipv6) {
		path := filepath.Join("/proc/sys/net", s.path)
		have, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) && !ipv6 && strings.HasPrefix(s.path, "ipv6/") {
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

// setAddresses puts the node's own addresses on the device, as a /32 and a /128
// of global scope, and removes any other. Masquerading asks the outgoing device
// for its address; without this one (or with one of smaller scope) it would
// take that of some other device, which the receiving node refuses.
//
// The price: a host process that picks its multicast device by the node's
// address, instead of by name or index, now gets this device.
func setAddresses(link netlink.Link, addresses ...netip.Addr) (changed []string, err error) {
	have, err := retry(func() ([]netlink.Addr, error) { return netlink.AddrList(link, netlink.FAMILY_ALL) })
	if err != nil {
		return nil, fmt.Errorf("list addresses: %w", err)
	}
	var want []netip.Prefix
	for _, a := range addresses {
		if a.IsValid() {
			want = append(want, netip.PrefixFrom(a, a.BitLen()))
		}
	}
	for _, w := range want {
		if slices.ContainsFunc(have, func(a netlink.Addr) bool { return rightAddress(a, w) }) {
			continue
		}
		if err := netlink.AddrReplace(link, hostAddress(w)); err != nil {
			return changed, fmt.Errorf("add address %s: %w", w, err)
		}
		changed = append(changed, "address "+w.String())
	}
	for _, a := range have {
		if slices.ContainsFunc(want, func(w netip.Prefix) bool { return rightAddress(a, w) }) {
			continue
		}
		if err := netlink.AddrDel(link, &a); err != nil && !errors.Is(err, unix.EADDRNOTAVAIL) {
			return changed, fmt.Errorf("remove address %s: %w", a.IPNet, err)
		}
		changed = append(changed, "no address "+a.IPNet.String())
	}
	return changed, nil
}

// hostAddress is an address that brings no route, and that nobody is asked
// about.
func hostAddress(p netip.Prefix) *netlink.Addr {
	addr := &netlink.Addr{IPNet: toIPNet(p), Scope: int(netlink.SCOPE_UNIVERSE)}
	if p.Addr().Is6() {
		addr.Flags = unix.IFA_F_NODAD | unix.IFA_F_NOPREFIXROUTE
	}
	return addr
}

func rightAddress(a netlink.Addr, want netip.Prefix) bool {
	return fromIPNet(a.IPNet) == want && a.Scope == int(netlink.SCOPE_UNIVERSE)
}
