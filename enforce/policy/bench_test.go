package policy

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/signet-cni/signet/identity"
)

// bigCluster gives 10,000 identities in 100 namespaces at scale 1, and 1,000
// policies over them.
func bigCluster(b testing.TB, identities, policies int) (map[identity.ID]identity.Set, []Policy) {
	b.Helper()
	ids := make(map[identity.ID]identity.Set, identities)
	for n := range identities {
		namespace := fmt.Sprintf("ns-%d", n%100)
		set := identity.NewSet(namespace, map[string]string{"env": fmt.Sprint("env-", n%3)}, map[string]string{
			"app": fmt.Sprint("app-", n/100), "tier": fmt.Sprint("tier-", n/100%4), "version": fmt.Sprint("v", n/100%7),
		}, identity.DefaultIgnore())
		ids[identity.Number(set, 0)] = set
	}
	list := make([]Policy, 0, policies)
	for n := range policies {
		list = append(list, bigPolicy(n))
	}
	return ids, list
}

func bigPolicy(n int) Policy {
	with := func(key, value string) *identity.Selector {
		return &identity.Selector{Requirements: []identity.Requirement{
			{Key: key, Operator: identity.In, Values: []string{value}},
		}}
	}
	without := &identity.Selector{Requirements: []identity.Requirement{
		{Key: "version", Operator: identity.NotIn, Values: []string{fmt.Sprint("v", n%7)}},
	}}
	block := IPBlock{CIDR: netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(n), 0, 0}), 16)}
	return Policy{
		Namespace: fmt.Sprintf("ns-%d", n%100), Name: fmt.Sprint("policy-", n),
		Subjects:        *with("tier", fmt.Sprint("tier-", n/100%4)),
		IsolatesIngress: true, IsolatesEgress: n%2 == 0,
		Ingress: []Rule{
			{
				Peers: []Peer{{Pods: with("app", fmt.Sprint("app-", n/10))}, {Pods: without}},
				Ports: []Port{{Protocol: TCP, First: 8080, Last: 8080}},
			},
			{
				Peers: []Peer{{Namespaces: with("env", fmt.Sprint("env-", n%3)), Pods: with("tier", "tier-1")}},
				Ports: []Port{{Protocol: TCP, First: 30000, Last: 32767}, {Protocol: UDP, Name: "dns"}},
			},
		},
		Egress: []Rule{{Peers: []Peer{{Block: block}, {Namespaces: &identity.Selector{}}}}},
	}
}

func BenchmarkCompile(b *testing.B) {
	for _, scale := range []struct{ identities, policies int }{{1000, 100}, {10000, 100}, {10000, 1000}} {
		b.Run(fmt.Sprintf("identities=%d/policies=%d", scale.identities, scale.policies), func(b *testing.B) {
			ids, policies := bigCluster(b, scale.identities, scale.policies)
			for b.Loop() {
				table := Compile(ids, policies).Table
				b.ReportMetric(float64(len(table.Rules)), "rows")
			}
		})
	}
}
