package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/signet-cni/signet/tests/bench/report"
)

// measureVerdict lets the datapath's own benchmark measure what its programs
// take in the kernel, whatever the number of policies, identities and ports.
func measureVerdict(t *lab) (rows []report.Row, err error) {
	dir, err := os.MkdirTemp("", "signet-bench-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	found := filepath.Join(dir, "rows.json")
	cmd := exec.Command("go", "test", "./enforce/datapath", "-run", "^$", "-bench", "^BenchmarkVerdict$", "-benchtime", "1x")
	cmd.Env = append(os.Environ(), "SIGNET_BENCH_ROWS="+found, "SIGNET_REQUIRE_ROOT=1")
	cmd.Stdout, cmd.Stderr = t.log, t.log
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("benchmark of the datapath: %w", err)
	}
	data, err := os.ReadFile(found)
	if err != nil {
		return nil, err
	}
	return rows, json.Unmarshal(data, &rows)
}
