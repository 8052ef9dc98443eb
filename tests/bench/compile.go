package main

import (
	"os"
	"os/exec"

	"github.com/signet-cni/signet/tests/bench/report"
)

// measureCompile lets the compiler's own benchmark measure what one change
// takes, beside compiling everything.
func measureCompile(t *lab) ([]report.Row, error) {
	return goBenchmark(t, "./enforce/policy", "BenchmarkChange")
}

// goBenchmark runs a benchmark of a package, which writes rows to a file.
func goBenchmark(t *lab, dir, name string, env ...string) ([]report.Row, error) {
	return rowsOf(t, func(file string) *exec.Cmd {
		cmd := exec.Command("go", "test", dir, "-run", "^$", "-bench", "^"+name+"$", "-benchtime", "1x")
		cmd.Env = append(append(os.Environ(), "SIGNET_BENCH_ROWS="+file), env...)
		return cmd
	})
}
