package api_test

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/signet-cni/signet/internal/api"
	"github.com/signet-cni/signet/internal/unixsocket"
)

// node is a Source with fixed answers.
type node struct {
	status     api.Status
	endpoints  []api.Endpoint
	identities []api.Identity
	flows      *api.FlowLog
	why        api.Why
	policies   []api.PolicyStatus
	services   []api.Service
	asked      api.WhyQuery
	encryption api.Encryption
	rotations  int
}

func (n *node) Status() api.Status           { return n.status }
func (n *node) Endpoints() []api.Endpoint    { return n.endpoints }
func (n *node) Identities() []api.Identity   { return n.identities }
func (n *node) Policies() []api.PolicyStatus { return n.policies }
func (n *node) Services() []api.Service      { return n.services }

func (n *node) Why(q api.WhyQuery) (api.Why, error) {
	if n.why.Node == "" {
		return api.Why{}, errors.New("no policy is loaded yet")
	}
	n.asked = q
	return n.why, nil
}

func (n *node) Encryption() api.Encryption { return n.encryption }

func (n *node) Rotate() error {
	n.rotations++
	if n.rotations > 1 {
		return errors.New("this node is changing its keys already")
	}
	return nil
}

func (n *node) Flows() *api.FlowLog { return n.flows }

// serve serves n until the test ends, or the function that it returns is
// called, and gives the path of the socket.
func serve(t *testing.T, n *node) (string, func()) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "agent.sock")
	log := slog.New(slog.DiscardHandler)
	l, err := unixsocket.Listen(path, log)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- api.NewServer(n, log).Serve(ctx, l) }()
	stop := func() {
		cancel()
		if err, open := <-done; open && err != nil {
			t.Errorf("Serve: %v", err)
		}
	}
	t.Cleanup(func() { cancel(); close(done) })
	return path, stop
}

func TestAnswers(t *testing.T) {
	n := &node{
		status:     api.Status{Node: "worker", Ready: true, Drops: map[string]api.Drop{"malformed": {Packets: 3}}},
		identities: []api.Identity{{ID: 1001, Namespace: "concert", Local: 2}},
		flows:      api.NewFlowLog(8),
	}
	path, stop := serve(t, n)
	defer stop()
	client := api.NewClient(path)

	status, err := client.Status(t.Context())
	if diff := cmp.Diff(n.status, status, compareAddrs); err != nil || diff != "" {
		t.Errorf("status: %v (-want +got):\n%s", err, diff)
	}
	identities, err := client.Identities(t.Context())
	if diff := cmp.Diff(n.identities, identities); err != nil || diff != "" {
		t.Errorf("identities: %v (-want +got):\n%s", err, diff)
	}
	endpoints, err := client.Endpoints(t.Context())
	if err != nil || endpoints == nil || len(endpoints) != 0 {
		t.Errorf("endpoints: %v, %v; want an empty list, not null", endpoints, err)
	}
}

func TestNothingElseIsServed(t *testing.T) {
	path, stop := serve(t, &node{flows: api.NewFlowLog(1)})
	defer stop()
	client := http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext:       func(context.Context, string, string) (net.Conn, error) { return net.Dial("unix", path) },
	}}
	for _, request := range []struct{ method, path string }{
		{http.MethodGet, "/"},
		{http.MethodGet, "/v2/status"},
		{http.MethodPost, "/v1/status"},
		{http.MethodGet, "/v1/flows?colour=x"},
		{http.MethodDelete, "/v1/endpoints"},
	} {
		req, err := http.NewRequestWithContext(t.Context(), request.method, "http://signet"+request.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close() // its status counts
		if resp.StatusCode < 400 || resp.StatusCode > 499 {
			t.Errorf("%s %s: %s", request.method, request.path, resp.Status)
		}
	}
}

func TestAbsentAgent(t *testing.T) {
	path := filepath.Join(t.TempDir(), "agent.sock")
	_, err := api.NewClient(path).Status(t.Context())
	if !errors.Is(err, api.ErrAbsent) || !strings.Contains(err.Error(), path) {
		t.Errorf("no socket: %v", err)
	}
	l, err := unixsocket.Listen(path, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil { // as a killed agent leaves it
		t.Fatal(err)
	}
	if _, err := api.NewClient(path).Status(t.Context()); !errors.Is(err, api.ErrAbsent) {
		t.Errorf("dead socket: %v", err)
	}
}

// collect reads flows by their revision.
func collect(t *testing.T, client *api.Client, q api.Query) (list []uint32) {
	t.Helper()
	err := client.Flows(t.Context(), q, func(r api.Record) error {
		list = append(list, r.Revision)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func TestPastFlows(t *testing.T) {
	n := &node{flows: api.NewFlowLog(1000)}
	start := time.Now()
	for i := range uint32(600) { // more than a batch
		verdict := api.Admitted
		if i%2 == 1 {
			verdict = api.Dropped
		}
		n.flows.Append(api.Flow{Revision: i, Verdict: verdict, Time: start.Add(time.Duration(i) * time.Second)})
	}
	path, stop := serve(t, n)
	defer stop()
	client := api.NewClient(path)

	if got := collect(t, client, api.All); len(got) != 600 || got[599] != 599 {
		t.Errorf("all: %d flows", len(got))
	}
	if got := collect(t, client, api.Query{Last: 2, Filter: api.Filter{Verdict: api.Dropped}}); !cmp.Equal(got, []uint32{597, 599}) {
		t.Errorf("last 2 drops: %v", got)
	}
	if got := collect(t, client, api.Query{Last: 0}); len(got) != 0 {
		t.Errorf("last 0: %v", got)
	}
	if got := collect(t, client, api.Query{Last: -1, Since: start.Add(598 * time.Second)}); !cmp.Equal(got, []uint32{598, 599}) {
		t.Errorf("since: %v", got)
	}
	err := client.Flows(t.Context(), api.Query{Filter: api.Filter{Verdict: "x"}}, func(api.Record) error { return nil })
	if err == nil || !strings.Contains(err.Error(), "verdict") {
		t.Errorf("unknown verdict: %v", err)
	}
}

func TestFollow(t *testing.T) {
	n := &node{flows: api.NewFlowLog(100)}
	fill(n.flows, 1, 5)
	path, stop := serve(t, n)
	got := make(chan uint32)
	ended := make(chan error, 1)
	go func() {
		ended <- api.NewClient(path).Flows(t.Context(), api.Query{Follow: true, Last: 2}, func(r api.Record) error {
			got <- r.Revision
			return nil
		})
	}()
	for _, want := range []uint32{4, 5} {
		if n := <-got; n != want {
			t.Fatalf("flow %d, want %d", n, want)
		}
	}
	fill(n.flows, 6, 7)
	for _, want := range []uint32{6, 7} {
		if n := <-got; n != want {
			t.Fatalf("flow %d, want %d", n, want)
		}
	}
	stop() // the agent ends: so does the stream
	if err := <-ended; err != nil {
		t.Errorf("the stream ended with %v", err)
	}
}

// A client that stops reading holds up nobody, and learns what it missed.
func TestSlowClient(t *testing.T) {
	n := &node{flows: api.NewFlowLog(512)}
	path, stop := serve(t, n)
	defer stop()
	const total = 50000 // far more than the socket's buffers take
	fill(n.flows, 1, 1)
	var seen, lost uint64
	err := api.NewClient(path).Flows(t.Context(), api.Query{Follow: true, Last: 1}, func(r api.Record) error {
		if r.Flow == nil {
			lost += r.Lost
			return nil
		}
		if seen++; seen == 1 {
			begin := time.Now()
			fill(n.flows, 2, total) // while this client reads nothing
			if took := time.Since(begin); took > 5*time.Second {
				t.Errorf("the agent was held up for %v", took)
			}
		}
		if uint64(r.Revision) != seen+lost {
			t.Errorf("flow %d after %d seen and %d lost", r.Revision, seen, lost)
		}
		if r.Revision == total {
			return errDone
		}
		return nil
	})
	if !errors.Is(err, errDone) {
		t.Fatal(err)
	}
	if lost == 0 || seen+lost != total {
		t.Errorf("%d seen, %d lost of %d", seen, lost, total)
	}
}

var errDone = errors.New("done")

// A client that never reads does not keep the agent from ending.
func TestStuckClient(t *testing.T) {
	n := &node{flows: api.NewFlowLog(8192)}
	path, stop := serve(t, n)
	conn, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if _, err := conn.Write([]byte("GET /v1/flows?follow=true HTTP/1.1\r\nHost: signet\r\n\r\n")); err != nil {
		t.Fatal(err)
	}
	for range 20 { // until the socket's buffers are full
		fill(n.flows, 1, 1000)
		time.Sleep(5 * time.Millisecond)
	}
	begin := time.Now()
	stop()
	if took := time.Since(begin); took > 1500*time.Millisecond {
		t.Errorf("the agent took %v to end", took)
	}
}

// Keys change only by POST, and a refusal has its reason.
func TestRotate(t *testing.T) {
	n := &node{encryption: api.Encryption{Node: "node-a", Key: api.TunnelKey{PublicKey: "AAAA"}}}
	socket, stop := serve(t, n)
	defer stop()
	client := api.NewClient(socket)
	if err := client.Rotate(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := client.Rotate(t.Context()); err == nil || !strings.Contains(err.Error(), "changing its keys already") {
		t.Errorf("the second time: %v", err)
	}
	got, err := client.Encryption(t.Context())
	if diff := cmp.Diff(n.encryption, got); err != nil || diff != "" {
		t.Errorf("%v, -want +got:\n%s", err, diff)
	}
	resp, err := (&http.Client{Transport: unixsocket.Transport(socket, api.ErrAbsent)}).Get("http://signet/v1/rotate")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusOK || n.rotations != 2 {
		t.Errorf("GET: %s, %d rotations", resp.Status, n.rotations)
	}
}
