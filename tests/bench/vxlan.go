package main

import (
	"github.com/signet-cni/signet/tests/bench/measure"
	"github.com/signet-cni/signet/tests/bench/report"
)

// measureVXLAN compares TCP between pods on two nodes with TCP between two
// machines through a VXLAN inside WireGuard, which has room for an identity,
// too. That no pod's interface is in the way there favours the VXLAN.
func measureVXLAN(t *lab) ([]report.Row, error) {
	p := newPods(t)
	a, b := p.VXLANPair(p.bareA, p.bareB)
	target := report.Target{AtLeast: 3}
	if !p.Nodes[0].Userspace() {
		target = report.Target{} // the issue is the TUN device's offloads
	}
	return measure.Comparison{
		Metrics: []measure.Metric{{Name: "vxlan", Unit: "Gbit/s", Target: target}},
		Against: "VXLAN in " + p.Nodes[0].WireGuard() + " WireGuard", Effort: t.effort.Times(throughputRounds),
		Signet: throughput(&p.client.Host, &p.far.Host, 1), Base: throughput(a, b, 1),
	}.Run(t.log)
}
