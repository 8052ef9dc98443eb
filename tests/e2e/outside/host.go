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

	"github.com/signet-cni/signet/tests/e2e/wire"
)

// Host is one of them.
type Host struct {
	Name string
	Addr netip.Addr
	ns   netns.NsHandle
	port string // name of the interface at the bridge
	ends []func() error
}

// New makes the host with a number from 1 to 100. It takes an address from the
// upper end of the nodes' network, where the engine does not get to.
func New(ctx context.Context, name string, number int) (*Host, error) {
	bridge, err := wire.Link(ctx)
	if err != nil {
		return nil, err
	}
	subnet, err := subnet(ctx)
	if err != nil {
		return nil, err
	}
	h := &Host{Name: name, Addr: fromEnd(subnet, number), port: fmt.Sprintf("signet-out%d", number)}
	if err := h.create(bridge, subnet.Bits()); err != nil {
		return nil, errors.Join(fmt.Errorf("host %s: %w", name, err), h.Close())
	}
	return h, nil
}

// subnet gives the IPv4 range of the nodes' network.
func subnet(ctx context.Context) (netip.Prefix, error) {
	out, err := exec.CommandContext(ctx, "docker", "network", "inspect", "kind",
		"--format", "{{range .IPAM.Config}}{{.Subnet}} {{end}}").Output()
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("find the range of kind's network: %w", err)
	}
	for _, word := range strings.Fields(string(out)) {
		if p, err := netip.ParsePrefix(word); err == nil && p.Addr().Is4() {
			return p, nil
		}
	}
	return netip.Prefix{}, fmt.Errorf("kind's network has no IPv4 range: %q", out)
}

// fromEnd counts addresses from the end of a range that has at least 256.
func fromEnd(p netip.Prefix, number int) netip.Addr {
	last := p.Masked().Addr().As4()
	for bit := p.Bits(); bit < 32; bit++ {
		last[bit/8] |= 1 << (7 - bit%8)
	}
	last[3] -= byte(number)
	return netip.AddrFrom4(last)
}

// create makes the namespace and its link to the bridge.
func (h *Host) create(bridge string, bits int) error {
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
	return errors.Join(h.connect(bridge), h.Do(func() error { return h.address(bits) }))
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
func (h *Host) address(bits int) error {
	for _, name := range []string{"lo", "eth0"} {
		link, err := netlink.LinkByName(name)
		if err != nil {
			return err
		}
		if err := netlink.LinkSetUp(link); err != nil {
			return err
		}
		if name == "eth0" {
			addr := &netlink.Addr{IPNet: &net.IPNet{IP: h.Addr.AsSlice(), Mask: net.CIDRMask(bits, 32)}}
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
