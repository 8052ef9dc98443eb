package prometheus

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"
)

// Program gives the path of prometheus or promtool: from the directory that
// fetch.sh printed, $SIGNET_PROMETHEUS, or else from the PATH.
func Program(t testing.TB, name string) string {
	t.Helper()
	path, err := exec.LookPath(filepath.Join(os.Getenv("SIGNET_PROMETHEUS"), name))
	if err != nil {
		t.Skipf("no %s: SIGNET_PROMETHEUS=$(tests/prometheus/fetch.sh): %v", name, err)
	}
	return path
}

// Server is a Prometheus that runs until its test ends.
type Server struct {
	t       testing.TB
	address string
}

const config = `global: {scrape_interval: %[3]v, scrape_timeout: %[3]v, evaluation_interval: %[3]v}
rule_files: [%[1]q]
scrape_configs:
- {job_name: signet, static_configs: %[2]s}
`

// Start lets a Prometheus on loopback scrape targets, addresses by the name of
// their instance, and evaluate a file of rules, both at an interval.
func Start(t testing.TB, rules string, targets map[string]string, interval time.Duration) *Server {
	t.Helper()
	program, dir := Program(t, "prometheus"), t.TempDir()
	rules, err := filepath.Abs(rules)
	if err != nil {
		t.Fatal(err)
	}
	var configs []any
	for instance, address := range targets {
		configs = append(configs, map[string]any{"targets": []string{address}, "labels": map[string]string{"instance": instance}})
	}
	list, err := json.Marshal(configs)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "prometheus.yaml")
	if err := os.WriteFile(file, fmt.Appendf(nil, config, rules, list, interval), 0o600); err != nil {
		t.Fatal(err)
	}
	s := &Server{t: t, address: freeAddress(t)}
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, program, "--config.file="+file, "--storage.tsdb.path="+filepath.Join(dir, "data"),
		"--web.listen-address="+s.address, "--log.level=warn")
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		_ = cmd.Wait() // it was killed
		if t.Failed() {
			t.Logf("prometheus says:\n%s", &output)
		}
	})
	s.Until("ready", time.Minute, func() error { return s.get("/-/ready", nil, nil) })
	return s
}

func freeAddress(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// Until tries until it succeeds.
func (s *Server) Until(what string, patience time.Duration, try func() error) {
	s.t.Helper()
	end := time.Now().Add(patience)
	for {
		err := try()
		if err == nil {
			return
		}
		if time.Now().After(end) {
			s.t.Fatalf("%s: not after %v: %v", what, patience, err)
		}
		time.Sleep(200 * time.Millisecond)
	}
}

// Series is one series of an answer.
type Series struct {
	Metric map[string]string
	Points []Point
}

// Point is a value at a time.
type Point struct {
	Time  time.Time
	Value float64
}

// Query evaluates an expression now.
func (s *Server) Query(expr string) ([]Series, error) {
	return s.query("/api/v1/query", url.Values{"query": {expr}})
}

// Range evaluates it over the past, in steps.
func (s *Server) Range(expr string, past, step time.Duration) ([]Series, error) {
	now := time.Now()
	at := func(t time.Time) string { return strconv.FormatFloat(float64(t.UnixMilli())/1000, 'f', 3, 64) }
	return s.query("/api/v1/query_range", url.Values{
		"query": {expr}, "start": {at(now.Add(-past))}, "end": {at(now)}, "step": {step.String()},
	})
}

type answer struct {
	Data struct {
		Result []struct {
			Metric map[string]string
			Value  *sample
			Values []sample
		}
	}
}

// sample is a pair of a time in seconds and a value in a string.
type sample struct{ Point }

// UnmarshalJSON implements json.Unmarshaler.
func (s *sample) UnmarshalJSON(raw []byte) error {
	var at float64
	var value string
	if err := json.Unmarshal(raw, &[]any{&at, &value}); err != nil {
		return err
	}
	number, err := strconv.ParseFloat(value, 64)
	s.Point = Point{Time: time.UnixMilli(int64(at * 1000)), Value: number}
	return err
}

func (s *Server) query(path string, values url.Values) (list []Series, err error) {
	var a answer
	if err := s.get(path, values, &a); err != nil {
		return nil, fmt.Errorf("%s: %w", values.Get("query"), err)
	}
	for _, result := range a.Data.Result {
		series := Series{Metric: result.Metric}
		if result.Value != nil {
			series.Points = append(series.Points, result.Value.Point)
		}
		for _, v := range result.Values {
			series.Points = append(series.Points, v.Point)
		}
		list = append(list, series)
	}
	return list, nil
}

// Rule is a rule that the server evaluates.
type Rule struct {
	Name, Query, Health, LastError string
}

// Rules gives all rules.
func (s *Server) Rules() (rules []Rule, err error) {
	var a struct {
		Data struct{ Groups []struct{ Rules []Rule } }
	}
	err = s.get("/api/v1/rules", nil, &a)
	for _, group := range a.Data.Groups {
		rules = append(rules, group.Rules...)
	}
	return rules, err
}

func (s *Server) get(path string, values url.Values, into any) error {
	client := http.Client{Timeout: 30 * time.Second}
	resp, err := client.Get("http://" + s.address + path + "?" + values.Encode())
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		var problem struct{ Error string }
		_ = json.NewDecoder(resp.Body).Decode(&problem) // the status must do
		return fmt.Errorf("%s: %s", resp.Status, problem.Error)
	}
	if into == nil {
		return nil
	}
	return json.NewDecoder(resp.Body).Decode(into)
}
