// Package outside makes hosts that are neither nodes nor pods: network
// namespaces on the bridge that connects the nodes. It needs root.
package outside

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os/exec"
	"runtime"
	"strings"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"github.com/signet-cni/signet/tests/e2e/wire"
)

// Host is one of them.
type Host struct {
	Name string
	Addr netip.Addr
	// Addr6 is of IPv6; invalid if the nodes' network has none.
	Addr6 netip.Addr
	ns    netns.NsHandle
	port  string // name of the interface at the bridge
	ends  []func() error
}

// New makes the host with a number from 1 to 100. It takes an address from the
// upper end of the nodes' network, where the engine does not get to.
func New(ctx context.Context, name string, number int) (*Host, error) {
	bridge, err := wire.Link(ctx)
	if err != nil {
		return nil, err
	}
	subnet, subnet6, err := subnets(ctx)
	if err != nil {
		return nil, err
	}
	h := &Host{Name: name, Addr: fromEnd(subnet, number), port: fmt.Sprintf("signet-out%d", number)}
	own := []netip.Prefix{netip.PrefixFrom(h.Addr, subnet.Bits())}
	if subnet6.IsValid() {
		h.Addr6 = fromEnd(subnet6, number)
		own = append(own, netip.PrefixFrom(h.Addr6, subnet6.Bits()))
	}
	if err := h.create(bridge, own); err != nil {
		return nil, errors.Join(fmt.Errorf("host %s: %w", name, err), h.Close())
	}
	return h, nil
}

// subnets gives the ranges of the nodes' network, of which the IPv6 one may be
// invalid.
func subnets(ctx context.Context) (v4, v6 netip.Prefix, err error) {
	out, err := exec.CommandContext(ctx, "docker", "network", "inspect", "kind",
		"--format", "{{range .IPAM.Config}}{{.Subnet}} {{end}}").Output()
	if err != nil {
		return v4, v6, fmt.Errorf("find the range of kind's network: %w", err)
	}
	for _, word := range strings.Fields(string(out)) {
		switch p, err := netip.ParsePrefix(word); {
		case err != nil:
		case p.Addr().Is4():
			v4 = p
		default:
			v6 = p
		}
	}
	if !v4.IsValid() {
		return v4, v6, fmt.Errorf("kind's network has no IPv4 range: %q", out)
	}
	return v4, v6, nil
}

// fromEnd counts addresses from the end of a range that has at least 256.
func fromEnd(p netip.Prefix, number int) netip.Addr {
	last := p.Masked().Addr().AsSlice()
	for bit := p.Bits(); bit < len(last)*8; bit++ {
		last[bit/8] |= 1 << (7 - bit%8)
	}
	last[len(last)-1] -= byte(number)
	addr, _ := netip.AddrFromSlice(last)
	return addr
}

// create makes the namespace and its link to the bridge.
func (h *Host) create(bridge string, own []netip.Prefix) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	home, err := netns.Get()
	if err != nil {
		return err
	}
	defer func() { _ = home.Close() }()
	h.ns, err = netns.New()
	if err != nil {
		h.ns = netns.None()
		return err
	}
	if err := netns.Set(home); err != nil {
		return err
	}
	return errors.Join(h.connect(bridge), h.Do(func() error { return h.address(own) }))
}

// connect puts a veth between the bridge and the namespace.
func (h *Host) connect(bridge string) error {
	master, err := netlink.LinkByName(bridge)
	if err != nil {
		return err
	}
	if old, err := netlink.LinkByName(h.port); err == nil { // an earlier run was killed
		if err := netlink.LinkDel(old); err != nil {
			return err
		}
	}
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.MasterIndex = h.port, master.Attrs().Index
	a := h.Addr.As4()
	veth := &netlink.Veth{
		LinkAttrs: attrs, PeerName: "eth0", PeerNamespace: netlink.NsFd(h.ns),
		// Always the same for an address: nodes remember that of the last host that had it.
		PeerHardwareAddr: net.HardwareAddr{2, 0, a[0], a[1], a[2], a[3]},
	}
	if err := netlink.LinkAdd(veth); err != nil {
		return fmt.Errorf("connect to %s: %w", bridge, err)
	}
	return netlink.LinkSetUp(veth)
}

// address brings the interfaces up. It runs in the namespace.
func (h *Host) address(own []netip.Prefix) error {
	for _, name := range []string{"lo", "eth0"} {
		link, err := netlink.LinkByName(name)
		if err != nil {
			return err
		}
		if err := netlink.LinkSetUp(link); err != nil {
			return err
		}
		if name != "eth0" {
			continue
		}
		for _, p := range own {
			addr := &netlink.Addr{IPNet: &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}}
			if p.Addr().Is6() {
				addr.Flags = unix.IFA_F_NODAD
			}
			if err := netlink.AddrAdd(link, addr); err != nil {
				return err
			}
		}
	}
	return nil
}

// Do runs f in the host's namespace. Sockets that f makes stay there.
func (h *Host) Do(f func() error) error {
	failed := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		if err := netns.Set(h.ns); err != nil {
			failed <- err
			return
		}
		failed <- f()
	}()
	return <-failed
}

// Close removes the host and all that it serves.
func (h *Host) Close() error {
	var errs []error
	for _, end := range h.ends {
		errs = append(errs, end())
	}
	if link, err := netlink.LinkByName(h.port); err == nil {
		errs = append(errs, netlink.LinkDel(link))
	}
	if h.ns.IsOpen() {
		errs = append(errs, h.ns.Close())
	}
	return errors.Join(errs...)
}
