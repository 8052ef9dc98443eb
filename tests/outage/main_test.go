//go:build e2e

package outage

import (
	"os"
	"testing"

	"github.com/signet-cni/signet/tests/netns/harness"
)

func TestMain(m *testing.M) { os.Exit(harness.Main(m.Run)) }

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
