package netns_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/signet-cni/signet/tests/netns/harness"
)

// TestInterrupted ends a laboratory by a signal while a cluster stands in it:
// no file of it is left.
func TestInterrupted(t *testing.T) {
	harness.Require(t)
	temp := t.TempDir()
	cmd := exec.Command("/proc/self/exe", "-test.run", "^TestTraffic$")
	cmd.Env = append(slices.DeleteFunc(os.Environ(), func(v string) bool {
		return strings.HasPrefix(v, "SIGNET_NETNS_")
	}), "TMPDIR="+temp)
	cmd.SysProcAttr = &unix.SysProcAttr{Pdeathsig: unix.SIGTERM}
	must(t, cmd.Start())
	for deadline := time.Now().Add(2 * time.Minute); !found(t, temp, "*/cluster-*/*"); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Error("no cluster stands after 2 min")
			break
		}
	}
	must(t, cmd.Process.Signal(unix.SIGTERM))
	if err := cmd.Wait(); err == nil {
		t.Error("who was interrupted says that all went well")
	}
	if found(t, temp, "*") {
		t.Errorf("files are left in %s", temp)
	}
}

func found(t *testing.T, dir, pattern string) bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, pattern))
	must(t, err)
	return len(files) > 0
}
