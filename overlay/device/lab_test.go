package device_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/signet-cni/signet/overlay"
	"github.com/signet-cni/signet/overlay/userspace"
)

// The laboratory: the test binary runs itself again in network and mount
// namespaces of its own, so that neither a packet nor a file of a test can
// leave. That outermost namespace routes the underlay between nodes; each node
// is a thread in namespaces of its own, with its own /run. The binary also
// serves as signet-wg.

const (
	envInside = "SIGNET_LAB_INSIDE"
	envServe  = "SIGNET_LAB_SERVE"
)

var whyNoLab string // "" inside the laboratory

func TestMain(m *testing.M) {
	switch {
	case os.Getenv(envServe) != "":
		os.Exit(serve(os.Getenv(envServe)))
	case os.Getenv(envInside) != "":
		if err := prepareUnderlay(); err != nil {
			fmt.Fprintln(os.Stderr, "prepare the laboratory:", err)
			os.Exit(1)
		}
		os.Exit(m.Run())
	}
	code, err := enter()
	if err != nil {
		whyNoLab = err.Error()
		code = m.Run()
	}
	os.Exit(code)
}

// enter runs the binary again, inside. The error says that it cannot.
func enter() (code int, err error) {
	if os.Geteuid() != 0 {
		return 0, errors.New("not root")
	}
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Env = append(os.Environ(), envInside+"=1")
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.SysProcAttr = &unix.SysProcAttr{Cloneflags: unix.CLONE_NEWNET | unix.CLONE_NEWNS, Pdeathsig: unix.SIGKILL}
	runtime.LockOSThread()
	if err := cmd.Start(); err != nil {
		return 0, fmt.Errorf("new namespaces: %w", err)
	}
	if err := cmd.Wait(); err != nil {
		return 1, nil
	}
	return 0, nil
}

func serve(name string) int {
	ctx, stop := signal.NotifyContext(context.Background(), unix.SIGTERM)
	defer stop()
	if err := userspace.Serve(ctx, []string{name}, 1420, slog.New(slog.NewTextHandler(os.Stderr, nil))); err != nil {
		fmt.Fprintln(os.Stderr, "serve:", err)
		return 1
	}
	return 0
}

// prepareUnderlay makes the outermost namespace a router that knows no way
// for anything of the cluster.
func prepareUnderlay() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	for _, dst := range []string{"10.0.0.0/8", "192.0.2.0/24", "198.51.100.0/24"} {
		_, ipnet, _ := netParse(dst)
		if err := netlink.RouteAdd(&netlink.Route{Dst: ipnet, Type: unix.RTN_UNREACHABLE}); err != nil {
			return fmt.Errorf("close %s: %w", dst, err)
		}
	}
	if err := quiet(); err != nil {
		return err
	}
	return os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0o644)
}

// quiet keeps devices that are yet to come from speaking IPv6 on their own.
func quiet() error {
	return os.WriteFile("/proc/sys/net/ipv6/conf/default/disable_ipv6", []byte("1"), 0o644)
}

// lab skips the test outside, or fails it where that must not happen.
func lab(t *testing.T) {
	t.Helper()
	if whyNoLab == "" {
		return
	}
	if os.Getenv("CI") == "true" || os.Getenv("SIGNET_REQUIRE_ROOT") == "1" {
		t.Fatalf("needs network namespaces: %s", whyNoLab)
	}
	t.Skipf("needs network namespaces: %s", whyNoLab)
}

// node is one node: a thread in its own namespaces.
type node struct {
	t       *testing.T
	index   int
	address netip.Addr // on the underlay
	tid     int
	work    chan func()
}

// newNode starts node number i with device eth0, MTU 1500, on the underlay.
func newNode(t *testing.T, i int) *node {
	t.Helper()
	n := &node{t: t, index: i, address: netip.AddrFrom4([4]byte{192, 0, 2, byte(10 + i)}), work: make(chan func())}
	ready := make(chan error)
	go n.run(ready)
	if err := <-ready; err != nil {
		t.Fatalf("node %d: %v", i, err)
	}
	t.Cleanup(func() { close(n.work) })
	n.plug()
	return n
}

// run never unlocks its thread, which therefore dies with its namespaces.
func (n *node) run(ready chan<- error) {
	runtime.LockOSThread()
	n.tid = unix.Gettid()
	ready <- func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET | unix.CLONE_NEWNS); err != nil {
			return err
		}
		if err := quiet(); err != nil {
			return err
		}
		run, err := filepath.EvalSymlinks("/var/run")
		if err != nil {
			return err
		}
		return unix.Mount("tmpfs", run, "tmpfs", 0, "mode=0755")
	}()
	for f := range n.work {
		f()
	}
}

// do runs f in the node's namespaces and fails the test with its error.
func (n *node) do(f func() error) {
	n.t.Helper()
	if err := n.try(f); err != nil {
		n.t.Fatalf("node %d: %v", n.index, err)
	}
}

func (n *node) try(f func() error) error {
	done := make(chan error, 1)
	n.work <- func() { done <- f() }
	return <-done
}

// plug connects the node to the underlay: eth0 on its side, a /32 route on the
// router's.
func (n *node) plug() {
	n.t.Helper()
	outer := "node" + strconv.Itoa(n.index)
	n.wire(outer, "eth0")
	must(n.t, replaceRoute(outer, netip.PrefixFrom(n.address, 32), netip.Addr{}))
	n.do(func() error {
		if err := addAddress("eth0", netip.PrefixFrom(n.address, 32)); err != nil {
			return err
		}
		if err := replaceRoute("eth0", netip.MustParsePrefix("192.0.2.1/32"), netip.Addr{}); err != nil {
			return err
		}
		return replaceRoute("eth0", netip.MustParsePrefix("0.0.0.0/0"), netip.MustParseAddr("192.0.2.1"))
	})
	must(n.t, addAddress(outer, netip.MustParsePrefix("192.0.2.1/32")))
}

// wire makes a veth pair between the outermost namespace and the node.
func (n *node) wire(outer, inner string) {
	n.t.Helper()
	attrs := netlink.LinkAttrs{Name: outer, MTU: 1500}
	pair := &netlink.Veth{LinkAttrs: attrs, PeerName: inner, PeerNamespace: netlink.NsPid(n.tid)}
	must(n.t, netlink.LinkAdd(pair))
	n.t.Cleanup(func() { _ = netlink.LinkDel(pair) })
	must(n.t, up(outer))
	n.do(func() error { return up(inner) })
	n.do(func() error { return up("lo") })
}

// startServer starts signet-wg on the node and returns how to end it. The
// process ends with the test at the latest.
func (n *node) startServer() *exec.Cmd {
	n.t.Helper()
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), envServe+"="+overlay.DefaultDevice)
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	cmd.SysProcAttr = &unix.SysProcAttr{Pdeathsig: unix.SIGKILL}
	n.do(cmd.Start)
	n.t.Cleanup(func() { stop(cmd, unix.SIGKILL) })
	return cmd
}

func stop(cmd *exec.Cmd, sig unix.Signal) {
	if cmd.ProcessState == nil {
		_ = cmd.Process.Signal(sig)
		_ = cmd.Wait()
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// eventually waits for f to hold, for at most limit.
func eventually(t *testing.T, limit time.Duration, what string, f func() bool) {
	t.Helper()
	for deadline := time.Now().Add(limit); !f(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within %s: %s", limit, what)
		}
	}
}
