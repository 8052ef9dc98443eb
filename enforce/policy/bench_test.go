package policy

import (
	"encoding/json"
	"fmt"
	"math"
	"net/netip"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/signet-cni/signet/identity"
	"github.com/signet-cni/signet/tests/bench/measure"
	"github.com/signet-cni/signet/tests/bench/report"
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

// rowsEnv names the file that BenchmarkChange writes its rows to, for make
// bench.
const rowsEnv = "SIGNET_BENCH_ROWS"

// Figures of BenchmarkChange: the cluster, changes a sample, and how often a
// sample compiles everything, of which the quickest counts: one is at the mercy
// of whatever else the machine does in that third of a second.
const (
	largeIdentities = 10_000
	largePolicies   = 1000
	changesASample  = 50
	wholesASample   = 3
)

// BenchmarkChange measures how long it takes to take in one change, beside
// compiling everything.
func BenchmarkChange(b *testing.B) {
	ids, policies := bigCluster(b, largeIdentities, largePolicies)
	c := &changing{b: b, result: Compile(ids, policies)}
	c.result.Table = Table{} // as in the agent, once the kernel has it
	rows, err := measure.Comparison{
		Metrics: []measure.Metric{
			{Name: "compile-identity", Unit: "ms", Target: report.Target{AtMost: 0.01}},
			{Name: "compile-policy-edited", Unit: "ms", Target: report.Target{AtMost: 0.01}},
			{Name: "compile-policy-replaced", Unit: "ms", Target: report.Target{AtMost: 0.01}},
		},
		Against: "1,000 policies over 10,000 identities in full", Effort: measure.Effort{Rounds: measure.MinRounds},
		Signet: c.sample,
		Base: func() (measure.Sample, error) {
			full := math.Inf(1)
			for range wholesASample {
				full = min(full, c.took(1, func(int) { _ = Compile(ids, policies) }))
			}
			return measure.Sample{Values: []float64{full, full, full}}, nil
		},
	}.Run(os.Stdout)
	if err != nil {
		b.Fatal(err)
	}
	data, err := json.Marshal(rows)
	if err == nil && os.Getenv(rowsEnv) != "" {
		err = os.WriteFile(os.Getenv(rowsEnv), data, 0o600)
	}
	if err != nil {
		b.Fatal(err)
	}
}

// changing is a result to which changes come.
type changing struct {
	b      *testing.B
	result Result
	pods   int // that came
	edits  int // of policies
}

// sample takes in changes of each sort: a label that gives a pod another
// identity, another port of a policy, and a policy that goes and comes back.
func (c *changing) sample() (measure.Sample, error) {
	return measure.Sample{Values: []float64{
		c.took(changesASample, func(int) {
			c.pods++
			set := identity.NewSet(fmt.Sprintf("ns-%d", c.pods%100), map[string]string{"env": fmt.Sprint("env-", c.pods%3)}, map[string]string{
				"app": fmt.Sprint("new-", c.pods), "tier": fmt.Sprint("tier-", c.pods%4), "version": "v3",
			}, identity.DefaultIgnore())
			c.change(Diff{Identities: map[identity.ID]identity.Set{identity.Number(set, 0): set}})
		}),
		c.took(changesASample, func(int) {
			c.edits++
			p := anyPolicy(c.edits)
			p.Ingress[0].Ports[0].Last += uint16(c.edits / largePolicies % 2 * 2)
			p.Ingress[0].Ports[0].Last++
			c.change(Diff{Policies: []Policy{p}})
		}),
		c.took(changesASample, func(n int) {
			p := anyPolicy(c.edits + n/2)
			if n%2 == 0 {
				c.change(Diff{GonePolicies: []PolicyRef{p.Ref()}})
				return
			}
			c.change(Diff{Policies: []Policy{p}})
		}),
	}}, nil
}

// anyPolicy gives policies from all over the cluster: their peers differ in how
// many pods they match, and in whether others name them.
func anyPolicy(n int) Policy { return bigPolicy(n * 61 % largePolicies) }

func (c *changing) change(d Diff) {
	if _, ok := c.result.Change(d); !ok {
		c.b.Fatal("refused")
	}
}

// took gives how many milliseconds one of so many calls takes, with nothing left
// to collect from before.
func (c *changing) took(times int, do func(n int)) float64 {
	runtime.GC()
	began := time.Now()
	for n := range times {
		do(n)
	}
	return time.Since(began).Seconds() * 1000 / float64(times)
}
