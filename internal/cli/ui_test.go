package cli_test

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/signet-cni/signet/internal/api"
	"github.com/signet-cni/signet/internal/cli"
	"github.com/signet-cni/signet/internal/flowmap"
)

// page reads the map of a "signet ui" that runs.
type page struct {
	t       *testing.T
	address string
	token   string
}

func startUI(t *testing.T, c *cluster, args ...string) page {
	t.Helper()
	r, w := io.Pipe()
	ctx, cancel := context.WithCancel(t.Context())
	code := make(chan int, 1)
	go func() {
		code <- cli.Run(ctx, append([]string{"ui", "--listen", "127.0.0.1:0"}, args...), environment(c, w, w))
		_ = w.Close() // cannot fail
	}()
	t.Cleanup(func() {
		cancel()
		if got := <-code; got != 0 {
			t.Errorf("exit code %d", got)
		}
	})
	lines := bufio.NewScanner(r)
	if !lines.Scan() {
		t.Fatal("no address")
	}
	address, token, ok := strings.Cut(strings.TrimPrefix(lines.Text(), "Open "), "#")
	if !ok {
		t.Fatalf("printed %q", lines.Text())
	}
	go func() { _, _ = io.Copy(io.Discard, r) }() // whatever else it says
	return page{t, address, token}
}

// until reads the map until it fits.
func (p page) until(what string, fits func(flowmap.Update) bool) {
	p.t.Helper()
	var last []byte
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		var u flowmap.Update
		last = p.first()
		if err := json.Unmarshal(last, &u); err != nil {
			p.t.Fatal(err)
		}
		if fits(u) {
			return
		}
	}
	p.t.Fatalf("%s: never; at last %s", what, last)
}

// first gives the first line of the stream: the whole map.
func (p page) first() []byte {
	p.t.Helper()
	r, err := http.NewRequestWithContext(p.t.Context(), http.MethodGet, p.address+"api/map", http.NoBody)
	if err != nil {
		p.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+p.token)
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		p.t.Fatal(err)
	}
	defer resp.Body.Close()
	line, err := bufio.NewReader(resp.Body).ReadBytes('\n')
	if err != nil {
		p.t.Fatal(err)
	}
	return line
}

func edge(u flowmap.Update, from, to, verdict string) *flowmap.Edge {
	for i, e := range u.Edges {
		if e.From == from && e.To == to && e.Verdict == verdict {
			return &u.Edges[i]
		}
	}
	return nil
}

func nodeState(u flowmap.Update, name string) (state, problem string) {
	for _, n := range u.Nodes {
		if n.Node == name {
			return n.State, n.Error
		}
	}
	return "", ""
}

const vipWorkload, backendWorkload, securityWorkload = "concert/Deployment/vip", "concert/Pods/backend", "concert/Pods/security"

func TestUIShowsTheFlowsOfAllNodes(t *testing.T) {
	p := startUI(t, concert(t), "--socket", noSocket)
	p.until("past flows", func(u flowmap.Update) bool {
		dropped, admitted := edge(u, backendWorkload, vipWorkload, api.Dropped), edge(u, securityWorkload, vipWorkload, api.Admitted)
		forwarded := edge(u, backendWorkload, vipWorkload, api.Forwarded)
		return dropped != nil && dropped.Cases[0].Reason == "policy-ingress" && admitted != nil &&
			forwarded != nil && forwarded.Settled && edge(u, securityWorkload, "/Outside/world", api.Admitted) != nil
	})
	p.until("both nodes", func(u flowmap.Update) bool {
		one, _ := nodeState(u, "worker-1")
		two, _ := nodeState(u, "worker-2")
		return one == flowmap.Live && two == flowmap.Live
	})
}

func TestUITellsWhichNodesAreMissing(t *testing.T) {
	p := startUI(t, concert(t).broken(), "--socket", noSocket)
	p.until("failures", func(u flowmap.Update) bool {
		three, why3 := nodeState(u, "worker-3")
		four, why4 := nodeState(u, "worker-4")
		return three == flowmap.Failed && strings.Contains(why3, "does not answer") &&
			four == flowmap.Failed && strings.Contains(why4, "no agent pod") && edge(u, backendWorkload, vipWorkload, api.Dropped) != nil
	})
}

// A stream that breaks is taken up where it ended.
func TestUIGoesOnAfterAnAgentsRestart(t *testing.T) {
	c, one, _ := nodes(t)
	working := c.nodes["worker-1"]
	c.serveAt("worker-1", filepath.Join("testdata", "no.sock"))
	p := startUI(t, c, "--socket", noSocket)
	p.until("failure", func(u flowmap.Update) bool {
		state, _ := nodeState(u, "worker-1")
		return state == flowmap.Failed
	})
	flowRows(one, flow(4, "worker-1", "from_overlay", api.Dropped, "policy-ingress", backend(false), vip(true)))
	c.serveAt("worker-1", working)
	p.until("flows after it", func(u flowmap.Update) bool {
		e := edge(u, backendWorkload, vipWorkload, api.Dropped)
		return e != nil && e.Count == 1
	})
}

func TestUIOfOneNode(t *testing.T) {
	n := workerOne()
	flowRows(n.flows, flow(4, "worker-1", "from_overlay", api.Dropped, "policy-ingress", backend(false), vip(true)))
	p := startUI(t, nil, "--socket", serve(t, n))
	p.until("its flows", func(u flowmap.Update) bool { return edge(u, backendWorkload, "concert/Pods/vip", api.Dropped) != nil })
}

func TestUIRefuses(t *testing.T) {
	for args, want := range map[string]string{
		"ui --listen nonsense":              "--listen",
		"ui --listen example.org:80":        "--listen",
		"ui --listen 127.0.0.1:0 something": "something",
	} {
		if got := run(t, concert(t), append(strings.Fields(args), "--socket", noSocket)...); got.code != 2 || !strings.Contains(got.stderr, want) {
			t.Errorf("%s: %s", args, got)
		}
	}
}
