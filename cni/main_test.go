package cni_test

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"syscall"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/signet-cni/signet/cni/plugin"
)

// The tests of this package run in a network and a mount namespace of their
// own, the "host": it has only the loopback interface, which bears the node's
// address, so that no packet can leave it, and a private /run/netns.
const inHostEnv = "SIGNET_TEST_IN_HOST"

// asPlugin, in the environment, makes this binary the CNI plugin.
const asPlugin = "SIGNET_TEST_AS_PLUGIN"

var (
	nodeAddr  = netip.MustParseAddr("192.0.2.1")
	nodeAddr6 = netip.MustParseAddr("2001:db8::1")
	// allPods and allPods6 hold every test's pod ranges. Behind the pods' own
	// routes they are unreachable.
	allPods  = netip.MustParsePrefix("198.18.0.0/15")
	allPods6 = netip.MustParsePrefix("fd00:198::/32")
)

func TestMain(m *testing.M) { os.Exit(testMain(m)) }

func testMain(m *testing.M) int {
	if os.Getenv(asPlugin) != "" {
		return plugin.Run()
	}
	if os.Getenv(inHostEnv) == "" {
		if os.Geteuid() == 0 {
			return inHost()
		}
		return m.Run() // without those that need root
	}
	if err := setUpHost(); err != nil {
		fmt.Fprintln(os.Stderr, "set up the test's host:", err)
		return 1
	}
	return m.Run()
}

// inHost runs this very program again, in namespaces of its own.
func inHost() int {
	self := exec.Command(os.Args[0], os.Args[1:]...)
	self.Env = append(os.Environ(), inHostEnv+"=1")
	self.Stdin, self.Stdout, self.Stderr = os.Stdin, os.Stdout, os.Stderr
	self.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS,
		Pdeathsig:  syscall.SIGKILL,
	}
	err := self.Run()
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		return exit.ExitCode()
	case err != nil:
		fmt.Fprintln(os.Stderr, "run the tests in namespaces of their own:", err)
		return 1
	}
	return 0
}

func setUpHost() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return err
	}
	if err := os.MkdirAll("/run/netns", 0o755); err != nil {
		return err
	}
	if err := unix.Mount("tmpfs", "/run/netns", "tmpfs", 0, ""); err != nil {
		return err
	}
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return err
	}
	return errors.Join(
		netlink.LinkSetUp(lo),
		netlink.AddrAdd(lo, &netlink.Addr{IPNet: ipNet(netip.PrefixFrom(nodeAddr, 32))}),
		netlink.RouteAdd(&netlink.Route{Dst: ipNet(allPods), Type: unix.RTN_UNREACHABLE}),
		netlink.AddrAdd(lo, &netlink.Addr{IPNet: ipNet(netip.PrefixFrom(nodeAddr6, 128)), Flags: unix.IFA_F_NODAD}),
		netlink.RouteAdd(&netlink.Route{Dst: ipNet(allPods6), Type: unix.RTN_UNREACHABLE}),
		os.WriteFile("/proc/sys/net/ipv6/conf/all/forwarding", []byte("1"), 0), // a router, as nodes are
	)
}

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}
