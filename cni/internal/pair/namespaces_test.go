package pair

import (
	"runtime"
	"testing"

	"github.com/containernetworking/plugins/pkg/ns"
	"golang.org/x/sys/unix"

	"github.com/signet-cni/signet/internal/needroot"
)

// inNewNamespaces runs f as on a host without interfaces, with a pod's network
// namespace. Both end with f.
func inNewNamespaces(t *testing.T, f func(pod ns.NetNS)) {
	t.Helper()
	needNamespaces(t)
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // for good: the thread and its namespace end here
		f(newNamespaces(t))
	}()
	<-done
}

// newNamespaces gives the calling thread a network namespace, and returns one
// beside it.
func newNamespaces(t *testing.T) (pod ns.NetNS) {
	for range 2 {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			t.Error(err)
			runtime.Goexit()
		}
		if pod == nil {
			pod = currentNamespace(t)
		}
	}
	return pod
}

func currentNamespace(t *testing.T) ns.NetNS {
	own, err := ns.GetCurrentNS()
	if err != nil {
		t.Error(err)
		runtime.Goexit()
	}
	t.Cleanup(func() { _ = own.Close() })
	return own
}

// needNamespaces skips a test that makes them, unless root is promised.
func needNamespaces(t *testing.T) {
	t.Helper()
	needroot.Skip(t, "it makes network namespaces and interfaces")
}
