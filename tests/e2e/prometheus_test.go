//go:build e2e

package e2e

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/signet-cni/signet/tests/browser"
	"github.com/signet-cni/signet/tests/e2e/lab"
	"github.com/signet-cni/signet/tests/e2e/story"
	"github.com/signet-cni/signet/tests/prometheus"
)

const (
	alertRules    = "../../deploy/alerts/signet.yaml"
	dashboardFile = "../../deploy/dashboards/signet.json"
	// scrapeInterval is also how long a node may take to answer.
	scrapeInterval = 5 * time.Second
	rateInterval   = "30s" // of Grafana's $__rate_interval
	dataTime       = 3 * time.Minute
)

// agentTargets lets a Prometheus on this machine scrape the agents, which
// answer on their nodes' loopback only.
func agentTargets(t *testing.T) map[string]string {
	t.Helper()
	targets := map[string]string{}
	for n, node := range cluster.Nodes {
		relay := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			out, err := cluster.OnNode(r.Context(), n, "curl", "-sf", "http://127.0.0.1:9470/metrics")
			if err != nil {
				http.Error(w, err.Error(), http.StatusBadGateway)
				return
			}
			w.Header().Set("Content-Type", "text/plain; version=0.0.4")
			_, _ = w.Write([]byte(out)) // Prometheus asks again
		}))
		t.Cleanup(relay.Close)
		targets[node.Name] = strings.TrimPrefix(relay.URL, "http://")
	}
	return targets
}

// TestPrometheus lets a real Prometheus scrape the agents while the concert
// runs: every panel of the dashboard shows something, every rule works.
func TestPrometheus(t *testing.T) {
	server := prometheus.Start(t, alertRules, agentTargets(t), scrapeInterval)
	s := story.Concert(prefix + "metrics")
	create(t, s.Namespaces, s.Pods...)
	if err := s.Do(t.Context(), cluster, s.Steps[0]); err != nil {
		t.Fatal(err)
	}
	settle()
	board, err := prometheus.LoadDashboard(dashboardFile)
	if err != nil {
		t.Fatal(err)
	}
	rows, err := s.Rows(s.Steps[0])
	if err != nil {
		t.Fatal(err)
	}
	story.Try(t.Context(), cluster, rows)
	panels := prometheus.Panels(board)
	for _, panel := range panels {
		for _, target := range panel.Targets {
			shows(t, server, panel.Title, prometheus.Concrete(target.Expr, rateInterval))
		}
	}
	rulesWork(t, server)
	if dir := os.Getenv("SIGNET_SCREENSHOTS"); dir != "" {
		denyForAWhile(t, s)
		page := browser.Open(t, prometheus.ServePanels(t, server, panels, rateInterval), browser.Size{Width: 1440, Height: 1900})
		page.Screenshot(filepath.Join(dir, "dashboard.png"))
	}
}

// shows waits until an expression has a result.
func shows(t *testing.T, server *prometheus.Server, what, expr string) {
	t.Helper()
	server.Until(what, dataTime, func() error {
		series, err := server.Query(expr)
		if err == nil && len(series) == 0 {
			err = errors.New("no data: " + expr)
		}
		return err
	})
}

// rulesWork sees that each rule is evaluated without an error, on data that is
// there, and that a cluster that is well has nothing to alert of.
func rulesWork(t *testing.T, server *prometheus.Server) {
	t.Helper()
	var rules []prometheus.Rule
	server.Until("rules", dataTime, func() (err error) {
		rules, err = server.Rules()
		for _, r := range rules {
			if r.Health != "ok" && err == nil {
				err = fmt.Errorf("%s is %s: %s", r.Name, r.Health, r.LastError)
			}
		}
		return err
	})
	if len(rules) < 10 {
		t.Errorf("%d rules", len(rules))
	}
	for _, r := range rules {
		shows(t, server, r.Name, prometheus.Whether(r.Query))
	}
	for _, r := range rules {
		if slices.Contains(quiet, r.Name) {
			holdsNowhere(t, server, r)
		}
	}
}

// quiet are alerts about what no test does to the cluster meanwhile.
var quiet = []string{"SignetAgentDown", "SignetNodeNotReady", "SignetNoPolicyLoaded", "SignetNodeRefused", "SignetTableFilling", "SignetWatchFails"}

// holdsNowhere waits until an alert has nothing to tell.
func holdsNowhere(t *testing.T, server *prometheus.Server, r prometheus.Rule) {
	t.Helper()
	server.Until(r.Name, time.Minute, func() error {
		series, err := server.Query(r.Query)
		if err == nil && len(series) > 0 {
			err = fmt.Errorf("holds for %v", series)
		}
		return err
	})
}

// denyForAWhile gives the pictures something to show.
func denyForAWhile(t *testing.T, s *story.Story) {
	t.Helper()
	for range 8 {
		try(t, []lab.Probe{
			ask(s.Pod("stranger"), s.Pod("vip"), 80, lab.TCP, lab.Silence), ask(s.Pod("security"), s.Pod("vip"), 80, lab.TCP, lab.Answer),
			ask(s.Pod("vip"), s.Pod("backend"), 8080, lab.TCP, lab.Answer), ask(s.Pod("backend"), s.Pod("vip"), 80, lab.TCP, lab.Silence),
		})
		time.Sleep(5 * time.Second)
	}
}
