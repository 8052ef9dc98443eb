package main

import (
	"os"
	"os/exec"

	"github.com/signet-cni/signet/tests/bench/report"
)

// measureVerdict lets the datapath's own benchmark measure what its programs
// take in the kernel, whatever the number of policies, identities and ports.
func measureVerdict(t *lab) ([]report.Row, error) {
	return rowsOf(t, func(file string) *exec.Cmd {
		cmd := exec.Command("go", "test", "./enforce/datapath", "-run", "^$", "-bench", "^BenchmarkVerdict$", "-benchtime", "1x")
		cmd.Env = append(os.Environ(), "SIGNET_BENCH_ROWS="+file, "SIGNET_REQUIRE_ROOT=1")
		return cmd
	})
}
