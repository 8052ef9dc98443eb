package netns_test

import (
	"os"
	"testing"

	"github.com/signet-cni/signet/tests/netns/harness"
)

func TestMain(m *testing.M) { os.Exit(harness.Main(m.Run)) }
