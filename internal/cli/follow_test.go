package cli_test

import (
	"bufio"
	"context"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/signet-cni/signet/internal/api"
	"github.com/signet-cni/signet/internal/cli"
	"github.com/signet-cni/signet/internal/kube/agents"
)

// following is a command that runs.
type following struct {
	t     *testing.T
	lines chan string // of standard output and standard error
	stop  context.CancelFunc
	code  chan int
}

func follow(t *testing.T, c *cluster, args ...string) *following {
	t.Helper()
	r, w := io.Pipe()
	ctx, cancel := context.WithCancel(t.Context())
	f := &following{t: t, lines: make(chan string), stop: cancel, code: make(chan int, 1)}
	go func() {
		defer close(f.lines)
		for scan := bufio.NewScanner(r); scan.Scan(); {
			f.lines <- scan.Text()
		}
	}()
	go func() {
		f.code <- cli.Run(ctx, append([]string{"flows", "-f"}, args...), environment(c, w, w))
		_ = w.Close() // cannot fail
	}()
	t.Cleanup(cancel)
	return f
}

func (f *following) want(parts ...string) {
	f.t.Helper()
	select {
	case line, more := <-f.lines:
		if !more {
			f.t.Fatalf("ended instead of %q", parts)
		}
		for _, part := range parts {
			if !strings.Contains(line, part) {
				f.t.Errorf("line %q, want %q in it", line, part)
			}
		}
	case <-time.After(time.Minute):
		f.t.Fatalf("no line, want %q", parts)
	}
}

func (f *following) end(code int) {
	f.t.Helper()
	go func() {
		for line := range f.lines {
			f.t.Errorf("at the end: %q", line)
		}
	}()
	select {
	case got := <-f.code:
		if got != code {
			f.t.Errorf("exit code %d, want %d", got, code)
		}
	case <-time.After(10 * time.Second):
		f.t.Fatal("does not end")
	}
}

// nodes serves two workers and gives their logs.
func nodes(t *testing.T) (*cluster, *api.FlowLog, *api.FlowLog) {
	t.Helper()
	one, two := workerOne(), workerTwo()
	c := &cluster{nodes: map[string]string{"worker-1": serve(t, one), "worker-2": serve(t, two)}}
	return c, one.flows, two.flows
}

func TestFollowCluster(t *testing.T) {
	c, one, two := nodes(t)
	flowRows(one, flow(2, "worker-1", "from_overlay", api.Admitted, "", security(false), vip(true)))
	flowRows(two, flow(1, "worker-2", "from_pod", api.Forwarded, "", security(true), unknownVIP()))
	f := follow(t, c, "--socket", noSocket)
	f.want("worker-2", "forwarded", "concert/security:40001 -> concert/vip:80")
	f.want("worker-1", "admitted", "concert/security:40001 -> concert/vip:80")
	flowRows(one, flow(4, "worker-1", "from_overlay", api.Dropped, "policy-ingress", backend(false), vip(true)))
	f.want("worker-1", "dropped", "policy-ingress")
	f.stop() // as the user does; the commands on the nodes end with their input
	f.end(0)
}

func TestFollowTellsFailedNodesAtOnce(t *testing.T) {
	c, one, _ := nodes(t)
	c.broken()
	f := follow(t, c, "--node", "worker-1,worker-3", "--pod", "concert/late", "--socket", noSocket)
	f.want("no pod", "concert/late")
	f.want("node worker-3", "does not answer")
	late := vip(true)
	late.Pod = "late"
	flowRows(one, flow(4, "worker-1", "from_overlay", api.Admitted, "", backend(false), late))
	f.want("concert/late:80")
	f.stop()
	f.end(0)
}

func TestFollowLocal(t *testing.T) {
	n := workerOne()
	f := follow(t, nil, "--verdict", "dropped", "-o", "wide", "--socket", serve(t, n))
	flowRows(n.flows,
		flow(3, "worker-1", "from_overlay", api.Admitted, "", security(false), vip(true)),
		flow(4, "worker-1", "from_overlay", api.Dropped, "policy-ingress", backend(false), vip(true)))
	f.want("concert/10.244.2.3:40002 (identity 1003, role=backend) -> concert/vip:80 (identity 1001")
	f.stop()
	f.end(0)
}

func TestFollowEndsWithTheAgent(t *testing.T) {
	n := workerOne()
	flowRows(n.flows, flow(1, "worker-1", "from_overlay", api.Admitted, "", security(false), vip(true)))
	var f *following
	t.Run("agent", func(agent *testing.T) { // and no longer
		f = follow(t, nil, "--socket", serve(agent, n))
		f.want("admitted")
	})
	f.want("ended the stream")
	f.end(1)
}

// A node whose agent restarts is asked again, for what was not shown yet.
func TestFollowSurvivesRestarts(t *testing.T) {
	n := workerOne()
	var f *following
	c := &cluster{nodes: map[string]string{}}
	first := flow(1, "worker-1", "from_overlay", api.Admitted, "", security(false), vip(true))
	t.Run("first agent", func(agent *testing.T) { // and no longer
		c.nodes["worker-1"] = serve(agent, n)
		flowRows(n.flows, first)
		f = follow(t, c, "--socket", noSocket)
		f.want("concert/10.244.2.2:40001 -> concert/vip:80")
		c.serveAt("worker-1", serve(t, n)) // the next one
	})
	f.want("node worker-1: the agent ended the stream")
	flowRows(n.flows, flow(3, "worker-1", "from_overlay", api.Dropped, "policy-ingress", backend(false), vip(true)))
	f.want("dropped", "policy-ingress")
	f.want("node worker-1: answers again")
	f.stop()
	f.end(0)
}

func TestFollowGivesUp(t *testing.T) {
	c := &cluster{missing: []agents.Agent{{Node: "worker-4", Problem: "the node has no agent pod"}}}
	f := follow(t, c, "--socket", noSocket)
	f.want("node worker-4: the node has no agent pod")
	f.want("partial result: 1 of 1 node did not answer")
	f.end(1)
}

// What never became a flow is told apart.
func TestFollowTellsWhatIsMissing(t *testing.T) {
	n := workerOne()
	f := follow(t, nil, "--socket", serve(t, n))
	flowRows(n.flows, flow(1, "worker-1", "from_overlay", api.Admitted, "", security(false), vip(true)))
	f.want("admitted")
	n.flows.Unsent(api.Unsent{RingFull: 4, Suppressed: 2})
	f.want("4 flows were lost because the ring to the agent was full")
	f.want("2 flows are drops over the rate limit")
	f.stop()
	f.end(0)
}
