package prometheus_test

import (
	"errors"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/signet-cni/signet/internal/metrics"
	"github.com/signet-cni/signet/tests/prometheus"
)

// node is what the exporter of an agent tells of a node that is well.
type node struct{}

func (node) Snapshot() metrics.Snapshot {
	return metrics.Snapshot{
		Version: "v1", Ready: true, Started: true, Endpoints: 4, Identities: 4, Policies: 1, Revision: 3, LargestLimit: 100,
		Drops:   map[string]metrics.Count{"policy-ingress": {Packets: 3, Bytes: 180}, "tunnel-source": {}},
		Maps:    []metrics.Map{{Name: "flows", Entries: 7, Max: 262144}},
		Peers:   []metrics.Peer{{Node: "worker", Handshake: time.Now().Add(-time.Minute), Rx: 10, Tx: 20}},
		Loops:   []metrics.Loop{{Name: "policy", Runs: 9, Success: time.Now()}},
		Watches: []metrics.Watch{{Kind: "pods", Synced: true, Objects: 4}},
	}
}

// Every expression of the dashboard and of the alerts has a result once an
// agent's exporter is scraped. (On a cluster, make e2e does the same with agents.)
func TestEveryExpressionHasData(t *testing.T) {
	m := metrics.New(node{}, "attach")
	m.Compiled(time.Millisecond)
	m.Propagated(time.Millisecond)
	for _, v := range []string{"admitted", "denied"} {
		m.Count(metrics.Verdict{
			Direction: "ingress", Verdict: map[string]string{"denied": "dropped"}[v], Namespace: "concert",
			Policies: []metrics.Policy{{Namespace: "concert", Name: "vip", Direction: "ingress", Verdict: v}},
		})
	}
	web := httptest.NewServer(m.Handler())
	t.Cleanup(web.Close)
	server := prometheus.Start(t, alerts+"/signet.yaml", map[string]string{"worker": strings.TrimPrefix(web.URL, "http://")}, time.Second)
	board, err := prometheus.LoadDashboard(dashboard)
	if err != nil {
		t.Fatal(err)
	}
	exprs := map[string]string{}
	for _, panel := range prometheus.Panels(board) {
		for _, target := range panel.Targets {
			exprs[prometheus.Concrete(target.Expr, "1m")] = panel.Title
		}
	}
	server.Until("rules", time.Minute, func() error {
		rules, err := server.Rules()
		for _, r := range rules {
			exprs[prometheus.Whether(r.Query)] = r.Name
			if r.Health != "ok" {
				err = errors.Join(err, errors.New(r.Name+": "+r.Health+" "+r.LastError))
			}
		}
		return err
	})
	for expr, what := range exprs {
		server.Until(what, time.Minute, func() error {
			series, err := server.Query(expr)
			if err == nil && len(series) == 0 {
				err = errors.New("no data: " + expr)
			}
			return err
		})
	}
}
