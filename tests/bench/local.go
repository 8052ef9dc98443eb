package main

import (
	"github.com/signet-cni/signet/tests/bench/measure"
	"github.com/signet-cni/signet/tests/bench/report"
)

// localRounds are as many times those of other cases: without WireGuard between
// them it is all the more the processors that decide.
const localRounds = 3

// measureLocal compares two pods of one node with two namespaces that a router
// joins, without any policy.
func measureLocal(t *lab) ([]report.Row, error) {
	p := newPods(t)
	a, b, _ := p.RoutedPair()
	const against = "routed veth pair"
	rows, err := measure.Comparison{
		Metrics: []measure.Metric{{Name: "local-tcp", Unit: "Gbit/s", Target: report.Target{AtLeast: 1}}},
		Against: against, Effort: t.effort.Times(localRounds),
		Signet: throughput(&p.client.Host, &p.near.Host, 1), Base: throughput(a, b, 1),
	}.Run(t.log)
	if err != nil {
		return rows, err
	}
	more, err := measure.Comparison{
		Metrics: []measure.Metric{
			{Name: "local-latency-p50", Unit: "µs", Target: report.Target{AtMost: 1}},
			{Name: "local-latency-p99", Unit: "µs", Target: report.Target{AtMost: 1}},
		},
		Against: against, Effort: t.effort.Times(latencyRounds),
		Signet: latency(&p.client.Host, &p.near.Host), Base: latency(a, b),
	}.Run(t.log)
	return append(rows, more...), err
}
