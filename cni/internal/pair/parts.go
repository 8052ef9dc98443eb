package pair

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/containernetworking/plugins/pkg/ns"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// anywhere is 0.0.0.0/0 or, for an IPv6 address, ::/0.
func anywhere(a netip.Addr) *net.IPNet {
	return &net.IPNet{IP: make(net.IP, a.BitLen()/8), Mask: net.CIDRMask(0, a.BitLen())}
}

// family is netlink's number of an address's family.
func family(a netip.Addr) int {
	if a.Is4() {
		return netlink.FAMILY_V4
	}
	return netlink.FAMILY_V6
}

// hostNet returns the network that holds only a.
func hostNet(a netip.Addr) *net.IPNet {
	return &net.IPNet{IP: a.AsSlice(), Mask: net.CIDRMask(a.BitLen(), a.BitLen())}
}

func neighbour(link netlink.Link, a netip.Addr, mac net.HardwareAddr) *netlink.Neigh {
	return &netlink.Neigh{
		LinkIndex:    link.Attrs().Index,
		Family:       family(a),
		State:        netlink.NUD_PERMANENT,
		IP:           a.AsSlice(),
		HardwareAddr: mac,
	}
}

// defaultRoute is on-link: no route to the gateway itself is needed.
func defaultRoute(link netlink.Link, gateway netip.Addr) *netlink.Route {
	return &netlink.Route{
		LinkIndex: link.Attrs().Index,
		Dst:       anywhere(gateway),
		Gw:        gateway.AsSlice(),
		Flags:     int(netlink.FLAG_ONLINK),
	}
}

// isGone says whether err means that the link does not exist (any more).
func isGone(err error) bool {
	var notFound netlink.LinkNotFoundError
	return errors.As(err, &notFound) || errors.Is(err, unix.ENODEV)
}

// setting is net.FAMILY.conf.IFNAME.key.
type setting struct{ key, value string }

// quietIPv6 keeps an interface from speaking or listening for itself: no
// address but those it is given, no router advertisement or redirect heeded,
// no solicitation sent, not a router's multicast groups joined. Whether the
// node forwards is not decided here but by "all".
var quietIPv6 = []setting{
	{"accept_ra", "0"},
	{"autoconf", "0"},
	{"accept_redirects", "0"},
	{"dad_transmits", "0"},
	{"proxy_ndp", "0"},
	{"forwarding", "0"},
}

// minIPv6MTU is the least that a device carries IPv6 with (RFC 8200 section 5).
// The kernel has no IPv6 settings for one with less.
const minIPv6MTU = 1280

// setUpIPv6 enables or disables IPv6 on an interface that is still down, and
// keeps it quiet in either case.
func setUpIPv6(link netlink.Link, p Plan) error {
	if !p.hasIPv6() && p.MTU < minIPv6MTU {
		return nil
	}
	disable := "1"
	if p.hasIPv6() {
		disable = "0"
	}
	name := link.Attrs().Name
	// By netlink, which sleeps until its turn comes: see setting.write.
	err := netlink.LinkSetIP6AddrGenMode(link, nl.IN6_ADDR_GEN_MODE_NONE)
	if errors.Is(err, unix.EAFNOSUPPORT) {
		return nil // a kernel without IPv6
	}
	if err != nil {
		return fmt.Errorf("keep %s from a link-local address: %w", name, err)
	}
	return sysctl("ipv6", name, append(slices.Clone(quietIPv6), setting{"disable_ipv6", disable})...)
}

// sysctl sets an interface's settings in the calling thread's network
// namespace. A kernel without the family has nothing to set.
func sysctl(family, ifName string, settings ...setting) error {
	dir := filepath.Join("/proc/sys/net", family, "conf")
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	var errs []error
	for _, s := range settings {
		if err := s.write(filepath.Join(dir, ifName, s.key)); err != nil {
			errs = append(errs, fmt.Errorf("set net.%s.conf.%s.%s: %w", family, ifName, s.key, err))
		}
	}
	return errors.Join(errs...)
}

// write leaves alone what is right already: for some settings the kernel takes
// the rtnl lock, and tries again and again while another process has it.
func (s setting) write(path string) error {
	is, err := os.ReadFile(path)
	if err == nil && strings.TrimSpace(string(is)) == s.value {
		return nil
	}
	return os.WriteFile(path, []byte(s.value), 0)
}

// within calls f in another network namespace, on the calling thread: a new one
// takes longer than what there is to do.
func within(other ns.NetNS, f func() error) error {
	runtime.LockOSThread()
	own, err := ns.GetCurrentNS()
	if err != nil {
		return err
	}
	defer func() { _ = own.Close() }() // a file descriptor of this process
	if err := other.Set(); err != nil {
		return err
	}
	err = f()
	if back := own.Set(); back != nil {
		return errors.Join(err, back) // the thread stays locked: nobody else may get it
	}
	runtime.UnlockOSThread()
	return err
}
