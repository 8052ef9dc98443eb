package metrics

import (
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

type fixed Snapshot

func (f fixed) Snapshot() Snapshot { return Snapshot(f) }

func example() fixed {
	return fixed{
		Version: "v1", Ready: true, Started: true,
		Drops: map[string]Count{"policy-ingress": {3, 180}}, EventsSuppressed: 1, EventsLost: 2,
		Maps:         []Map{{"flows", 7, 262144}},
		RefusedParts: map[PolicyPart]int{{"shop", "db", "port"}: 2, {"shop", "db", "peer"}: 1},
		Peers:        []Peer{{Node: "worker", Handshake: time.Now().Add(-time.Minute), Rx: 10, Tx: 20}, {Node: "new"}, {Rx: 1}, {Rx: 2}},
		Loops:        []Loop{{Name: "policy", Runs: 9, Failures: 1, Success: time.Now()}},
		Watches:      []Watch{{Kind: "pods", Synced: true, Objects: 4}, {Kind: "nodes", Failing: true}},
	}
}

// scrape gives the lines that Prometheus would read.
func scrape(t *testing.T, m *Metrics) string {
	t.Helper()
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	if w.Code != http.StatusOK {
		t.Fatalf("status %d: %s", w.Code, w.Body)
	}
	return w.Body.String()
}

func expectLines(t *testing.T, text string, lines ...string) {
	t.Helper()
	for _, line := range lines {
		if !strings.Contains(text, line+"\n") {
			t.Errorf("no line %q", line)
		}
	}
}

func TestScrape(t *testing.T) {
	m := New(example(), "add", "remove")
	m.Count(Verdict{
		Direction: "ingress", Verdict: "dropped", Reason: "policy-ingress", Namespace: "concert",
		Policies: []Policy{{"concert", "vip", "ingress", "denied"}},
	})
	m.Compiled(3 * time.Millisecond)
	m.Propagated(40 * time.Millisecond)
	m.CNI("add", 200*time.Millisecond, false)
	m.CNI("add", time.Second, true)
	text := scrape(t, m)
	expectLines(t, text,
		`signet_build_info{version="v1"} 1`,
		`signet_ready 1`,
		`signet_dropped_packets_total{reason="policy-ingress"} 3`,
		`signet_dropped_bytes_total{reason="policy-ingress"} 180`,
		`signet_map_entries{map="flows"} 7`,
		`signet_map_max_entries{map="flows"} 262144`,
		`signet_policy_refused_parts{namespace="shop",policy="db",reason="port"} 2`,
		`signet_policy_refused_parts{namespace="shop",policy="db",reason="peer"} 1`,
		`signet_tunnel_peers 4`,
		`signet_tunnel_peer_received_bytes_total{peer="unknown"} 3`,
		`signet_tunnel_peer_received_bytes_total{peer="worker"} 10`,
		`signet_reconcile_errors_total{loop="policy"} 1`,
		`signet_watch_failing{kind="nodes"} 1`,
		`signet_watch_failing{kind="pods"} 0`,
		`signet_verdicts_total{direction="ingress",namespace="concert",reason="policy-ingress",verdict="dropped"} 1`,
		`signet_policy_verdicts_total{direction="ingress",namespace="concert",policy="vip",verdict="denied"} 1`,
		`signet_policy_compile_seconds_count 1`,
		`signet_policy_propagation_seconds_count 1`,
		`signet_cni_request_seconds_count{operation="add"} 2`,
		`signet_cni_errors_total{operation="add"} 1`,
		`signet_cni_errors_total{operation="remove"} 0`)
	if strings.Contains(text, `handshake_age_seconds{peer="new"}`) {
		t.Error("a peer without a handshake has an age")
	}
}

func TestNothingButVersionBeforeTheStart(t *testing.T) {
	text := scrape(t, New(fixed{Version: "v1"}))
	expectLines(t, text, `signet_build_info{version="v1"} 1`, `signet_ready 0`)
	if strings.Contains(text, "signet_endpoints ") {
		t.Error("an agent that has not started tells of endpoints")
	}
}

func TestLabelsAreBounded(t *testing.T) {
	refused := map[PolicyPart]int{}
	for n := range maxPolicies + 50 {
		refused[PolicyPart{"shop", fmt.Sprint(n), "peer"}] = 2
	}
	expectLines(t, scrape(t, New(fixed{Started: true, RefusedParts: refused})), `signet_policy_refused_parts{namespace="other",policy="other",reason="peer"} 100`)
	m := New(fixed{})
	for n := range maxNamespaces + 50 {
		m.Count(Verdict{Direction: "egress", Verdict: "admitted", Namespace: fmt.Sprint("ns", n)})
	}
	for n := range maxPolicies + 50 {
		m.Count(Verdict{Verdict: "admitted", Policies: []Policy{{"a", fmt.Sprint(n), "egress", "admitted"}}})
	}
	text := scrape(t, m)
	expectLines(t, text,
		`signet_verdicts_total{direction="egress",namespace="other",reason="",verdict="admitted"} 50`,
		`signet_policy_verdicts_total{direction="egress",namespace="other",policy="other",verdict="admitted"} 50`)
	m.Forget("a", "7")
	m.Count(Verdict{Verdict: "admitted", Policies: []Policy{{"b", "new", "egress", "admitted"}}})
	text = scrape(t, m)
	expectLines(t, text, `signet_policy_verdicts_total{direction="egress",namespace="b",policy="new",verdict="admitted"} 1`)
	if strings.Contains(text, `policy="7"`) {
		t.Error("a policy that is gone is still told")
	}
}

// docs/metrics.md has a table row for each metric of ours, and for no other.
func TestDocumented(t *testing.T) {
	text, err := os.ReadFile("../../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	var documented []string
	for _, row := range regexp.MustCompile("(?m)^\\| `(signet_[a-z_]+)`").FindAllSubmatch(text, -1) {
		documented = append(documented, string(row[1]))
	}
	ch := make(chan *prometheus.Desc, 1000)
	New(fixed{}).registry.Describe(ch)
	close(ch)
	var registered []string
	for desc := range ch {
		name := regexp.MustCompile(`fqName: "(signet_[a-z_]+)"`).FindStringSubmatch(desc.String())
		if name != nil {
			registered = append(registered, name[1])
		}
	}
	slices.Sort(registered)
	slices.Sort(documented)
	if !slices.Equal(documented, registered) {
		t.Errorf("documented: %v\nregistered: %v", documented, registered)
	}
}

func TestServe(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	log := slog.New(slog.DiscardHandler)
	if err := New(fixed{}).Serve(t.Context(), address, log); err == nil || !strings.Contains(err.Error(), "metricsAddress") {
		t.Errorf("a port in use: %v", err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- New(example()).Serve(t.Context(), address, log) }()
	var body []byte
	for range 100 {
		resp, err := http.Get("http://" + address + "/metrics")
		if err == nil {
			body, _ = io.ReadAll(resp.Body)
			_ = resp.Body.Close()
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	if !strings.Contains(string(body), "signet_ready 1") {
		t.Errorf("served %q", body)
	}
}
