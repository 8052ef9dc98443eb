package main

import (
	"github.com/signet-cni/signet/tests/bench/filters"
	"github.com/signet-cni/signet/tests/bench/report"
)

// measureFilters compares a packet's verdict and delivery with nftables and
// iptables on a routed way.
func measureFilters(t *lab) ([]report.Row, error) { return filters.Measure(t, t.log, t.effort) }
