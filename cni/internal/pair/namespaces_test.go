package pair

import (
	"os"
	"runtime"
	"testing"

	"github.com/containernetworking/plugins/pkg/ns"
	"golang.org/x/sys/unix"
)

// inNewNamespaces runs f as on a host without interfaces, with a pod's network
// namespace. Both end with f.
func inNewNamespaces(t *testing.T, f func(pod ns.NetNS)) {
	t.Helper()
	needRoot(t)
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

// needRoot skips a test that makes network namespaces; where root is promised
// it fails instead.
func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() == 0 {
		return
	}
	const why = "needs root: it makes network namespaces and interfaces"
	if os.Getenv("SIGNET_REQUIRE_ROOT") == "1" || os.Getenv("CI") == "true" {
		t.Fatal(why)
	}
	t.Skip(why)
}
