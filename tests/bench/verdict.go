package main

import "github.com/signet-cni/signet/tests/bench/report"

// measureVerdict lets the datapath's own benchmark measure what its programs
// take in the kernel, whatever the number of policies, identities and ports.
func measureVerdict(t *lab) ([]report.Row, error) {
	return goBenchmark(t, "./enforce/datapath", "BenchmarkVerdict", "SIGNET_REQUIRE_ROOT=1")
}
