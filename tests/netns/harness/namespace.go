package harness

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"

	"golang.org/x/sys/unix"
)

// TB is what this package needs of testing.TB.
type TB interface {
	Helper()
	Cleanup(func())
	Logf(format string, args ...any)
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
}

// Namespace is a network namespace and a mount namespace, which live as long
// as the thread that made them.
type Namespace struct {
	t    TB
	name string
	tid  int
	work chan func()
}

// newNamespace ends with the test. It has its own /run and no device but lo.
func newNamespace(t TB, name string) *Namespace {
	t.Helper()
	n := &Namespace{t: t, name: name, work: make(chan func())}
	ready := make(chan error)
	go n.hold(ready)
	if err := <-ready; err != nil {
		t.Fatalf("namespace %s: %v", name, err)
	}
	t.Cleanup(func() { close(n.work) })
	return n
}

// hold never unlocks its thread, which therefore dies with its namespaces.
func (n *Namespace) hold(ready chan<- error) {
	runtime.LockOSThread()
	n.tid = unix.Gettid()
	ready <- n.furnish()
	for f := range n.work {
		f()
	}
}

func (n *Namespace) furnish() error {
	if err := unix.Unshare(unix.CLONE_NEWNET | unix.CLONE_NEWNS); err != nil {
		return fmt.Errorf("unshare: %w", err)
	}
	if err := os.MkdirAll("/var/run", 0o755); err != nil {
		return err
	}
	run, err := filepath.EvalSymlinks("/var/run")
	if err != nil {
		return err
	}
	if err := unix.Mount("tmpfs", run, "tmpfs", 0, "mode=0755"); err != nil {
		return fmt.Errorf("mount %s: %w", run, err)
	}
	return errors.Join(quiet(), linkUp("lo"))
}

// quiet keeps devices that are yet to come from speaking IPv6 on their own, and
// lets ICMP errors be as many as there are causes.
func quiet() error {
	return errors.Join(sysctl("ipv6/conf/default/disable_ipv6", "1"), sysctl("ipv4/icmp_ratelimit", "0"))
}

// path names one of the namespace's kinds, "net" or "mnt".
func (n *Namespace) path(kind string) string {
	return fmt.Sprintf("/proc/%d/task/%d/ns/%s", os.Getpid(), n.tid, kind)
}

// Try runs f on a thread of its own inside the namespace. Sockets that f opens
// stay in it, whoever uses them.
func (n *Namespace) Try(f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // for ever: nobody else gets the thread
		err := n.enter()
		if err == nil {
			err = f()
		}
		done <- err
	}()
	return <-done
}

// Do is Try, and fails the test with f's error.
func (n *Namespace) Do(f func() error) {
	n.t.Helper()
	if err := n.Try(f); err != nil {
		n.t.Fatalf("%s: %v", n.name, err)
	}
}

// onHolder runs f on the thread that lives as long as the namespace: a child
// process dies with the thread that started it.
func (n *Namespace) onHolder(f func() error) error {
	done := make(chan error, 1)
	n.work <- func() { done <- f() }
	return <-done
}

func (n *Namespace) enter() error {
	if err := unix.Unshare(unix.CLONE_FS); err != nil {
		return fmt.Errorf("unshare: %w", err)
	}
	for kind, flag := range map[string]int{"net": unix.CLONE_NEWNET, "mnt": unix.CLONE_NEWNS} {
		if err := join(n.path(kind), flag); err != nil {
			return fmt.Errorf("enter %s: %w", n.name, err)
		}
	}
	return nil
}

func join(path string, flag int) error {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	return errors.Join(unix.Setns(fd, flag), unix.Close(fd))
}
