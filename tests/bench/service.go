package main

import (
	"net/netip"

	"github.com/signet-cni/signet/enforce/policy"
	"github.com/signet-cni/signet/enforce/service"
	"github.com/signet-cni/signet/tests/bench/measure"
	"github.com/signet-cni/signet/tests/bench/report"
)

// serviceRounds are as many times those of other cases: the target is closer to
// 1 than a few rounds can tell.
const serviceRounds = 60

// measureService compares TCP to a pod of another node by its Service's
// ClusterIP with TCP by its own address.
func measureService(t *lab) ([]report.Row, error) {
	p := newPods(t)
	via := netip.MustParseAddrPort("10.96.0.1:80")
	own := netip.AddrPortFrom(p.far.Addr, benchPort)
	p.SetServices(service.Service{
		Namespace: "test", Name: "bench",
		Frontends: []service.Frontend{{Addr: via.Addr(), Port: via.Port(), Protocol: policy.TCP}},
		Backends:  []netip.AddrPort{own},
	})
	return measure.Comparison{
		Metrics: []measure.Metric{{Name: "service", Unit: "Gbit/s", Target: report.Target{AtLeast: 0.98}}},
		Against: "the pod's own address", Effort: t.effort.Times(serviceRounds),
		Signet: burstsVia(t, &p.client.Host, &p.far.Host, via), Base: burstsVia(t, &p.client.Host, &p.far.Host, own),
	}.Run(t.log)
}
