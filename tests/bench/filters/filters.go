// Package filters compares Signet's verdict with the same set of admitted and
// denied flows in nftables and in iptables with ipset.
package filters

import (
	"fmt"
	"io"
	"net/netip"

	"github.com/signet-cni/signet/enforce/policy"
	"github.com/signet-cni/signet/identity"
	"github.com/signet-cni/signet/tests/bench/measure"
	"github.com/signet-cni/signet/tests/bench/report"
	"github.com/signet-cni/signet/tests/netns/harness"
)

// TB is what a measurement is run by.
type TB interface {
	harness.TB
	Skipf(format string, args ...any)
}

// sizes are how many policies, or entries of a set, there are.
var sizes = []int{10, 1000, 10_000}

const (
	openPort   = 8080 // of the server, admitted to as many clients as there are policies
	closedPort = 8081
)

// Measure compares what a packet costs from one pod to another of its node,
// the verdict and the way there included, with the way between two namespaces
// that a router joins, which filters.
func Measure(t TB, log io.Writer, effort measure.Effort) (rows []report.Row, err error) {
	harness.Require(t)
	c := harness.NewCluster(t, 1, harness.Options{})
	n := c.Nodes[0]
	signet := newPath(t, &c.AddPod(n, harness.Role("client")).Host, &c.AddPod(n, harness.Role("server")).Host, n.ForgetFlows)
	for _, f := range []struct {
		name, against string
		fill          func(router *harness.Namespace, pairs []pair) error
	}{
		{"nftables", "a verdict map of nftables, and conntrack", setNFTables},
		{"ipset", "iptables with ipset, and conntrack", setIPTables},
	} {
		client, server, router := c.RoutedPair()
		base := newPath(t, client, server, func() error { return router.Try(forgetFlows) })
		for _, size := range sizes {
			c.Introduce(clients(size)...)
			c.SetPolicies(admitting(size)...)
			if err := f.fill(router, pairsTo(client.Addr, server.Addr, size)); err != nil {
				return rows, fmt.Errorf("%s: %w", f.name, err)
			}
			more, err := measure.Comparison{
				Metrics: metrics(f.name, size), Against: f.against, Effort: effort,
				Signet: signet.sample, Base: base.sample,
			}.Run(log)
			rows = append(rows, more...)
			if err != nil {
				return rows, err
			}
		}
	}
	return rows, nil
}

// metrics are the values of a path's sample.
func metrics(name string, size int) (list []measure.Metric) {
	for _, packet := range []string{"first", "established"} {
		list = append(list, measure.Metric{
			Name: fmt.Sprintf("%s-%s-%d", name, packet, size), Unit: "ns", Target: report.Target{AtMost: 1},
		})
	}
	return list
}

// clients are the labels of pods that have each an identity of their own.
func clients(count int) []harness.Labels {
	list := make([]harness.Labels, count)
	for i := range list {
		list[i] = harness.Role(fmt.Sprintf("client-%d", i))
	}
	list[count-1] = harness.Role("client")
	return list
}

// admitting gives policies that isolate the server and admit a role each to one
// port; only the last one's is the client's.
func admitting(count int) []policy.Policy {
	list := make([]policy.Policy, 0, count)
	for i, client := range clients(count) {
		role := client.Pod["role"]
		list = append(list, policy.Policy{
			Namespace: "test", Name: fmt.Sprintf("policy-%d", i), Subjects: ofRole("server"), IsolatesIngress: true,
			Ingress: []policy.Rule{{
				Peers: []policy.Peer{{Pods: new(ofRole(role))}},
				Ports: []policy.Port{{Protocol: policy.UDP, First: openPort, Last: openPort}},
			}},
		})
	}
	return list
}

func ofRole(role string) identity.Selector {
	return identity.Selector{Requirements: []identity.Requirement{
		{Key: "role", Operator: identity.In, Values: []string{role}},
	}}
}

// pair is who may send to whom.
type pair struct{ from, to netip.Addr }

// pairsTo gives what so many policies admit, where each is about one pod.
func pairsTo(client, server netip.Addr, count int) []pair {
	list := make([]pair, 0, count)
	for i := range count - 1 {
		list = append(list, pair{netip.AddrFrom4([4]byte{10, 96, byte(i >> 8), byte(i)}), server})
	}
	return append(list, pair{client, server})
}
