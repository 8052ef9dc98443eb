package datapath

import (
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"testing"

	"github.com/vishvananda/netlink"

	"github.com/signet-cni/signet/internal/needroot"
)

// insideEnv tells the child of TestMain that it has namespaces of its own.
const insideEnv = "SIGNET_TEST_NAMESPACES"

// pinRoot is the BPF file system of this run.
var pinRoot string

// interfaces are the devices in its network namespace.
var interfaces = map[string]int{"overlay": 10, "uplink": 11, "podA": 12, "podB": 13, "podS": 14, "detour": 15}

// TestMain runs the tests again in a child with network and mount namespaces
// of its own, so that every goroutine is inside and nothing outlives the run.
// Without root only tests that need no kernel run.
func TestMain(m *testing.M) { os.Exit(runMain(m)) }

func runMain(m *testing.M) int {
	if os.Getuid() != 0 {
		return m.Run()
	}
	if os.Getenv(insideEnv) == "" {
		return runInside()
	}
	remove, err := prepareInside()
	if err != nil {
		fmt.Fprintln(os.Stderr, "prepare the test's namespaces:", err)
		return 1
	}
	defer remove()
	return m.Run()
}

func runInside() int {
	child := exec.Command("/proc/self/exe", os.Args[1:]...)
	child.Args[0] = os.Args[0]
	child.Env = append(os.Environ(), insideEnv+"=1")
	child.Stdin, child.Stdout, child.Stderr = os.Stdin, os.Stdout, os.Stderr
	child.SysProcAttr = &syscall.SysProcAttr{
		Unshareflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS,
		Pdeathsig:    syscall.SIGKILL,
	}
	if err := child.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "tests in namespaces of their own:", err)
		return 1
	}
	return 0
}

// prepareInside mounts a BPF file system and makes the devices whose indexes
// packets carry.
func prepareInside() (remove func(), err error) {
	pinRoot, err = os.MkdirTemp("", "signet-bpffs-")
	if err != nil {
		return nil, err
	}
	if err := syscall.Mount("bpf", pinRoot, "bpf", 0, ""); err != nil {
		return nil, fmt.Errorf("mount a BPF file system: %w", err)
	}
	for name, index := range interfaces {
		attrs := netlink.NewLinkAttrs()
		attrs.Name, attrs.Index = name, index
		if err := netlink.LinkAdd(&netlink.Veth{LinkAttrs: attrs, PeerName: name + "-peer"}); err != nil {
			return nil, fmt.Errorf("add %s: %w", name, err)
		}
	}
	return func() {
		if err := syscall.Unmount(pinRoot, 0); err == nil {
			os.Remove(pinRoot)
		}
	}, nil
}

// needKernel skips a test that cannot run without root, unless root is promised.
func needKernel(t testing.TB) {
	t.Helper()
	needroot.Skip(t, "it loads eBPF programs")
}
