// Command scale measures one agent of a large cluster: a real API server and
// etcd hold simulated nodes, pods, identities and policies, and the agent, the
// WireGuard device, the CNI plugin and the verifier are the real ones. It runs
// below tests/control/control.sh, in network and mount namespaces of its own.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"time"

	"golang.org/x/sys/unix"

	"github.com/signet-cni/signet/tests/bench/report"
)

// most is how long the whole run may take.
const most = 15 * time.Minute

func main() { os.Exit(run()) }

func run() int {
	var s size
	flag.IntVar(&s.nodes, "nodes", 5000, "nodes, the agent's own included")
	flag.IntVar(&s.pods, "pods", 100_000, "pods of all nodes; first a tenth of them")
	flag.IntVar(&s.identities, "identities", 10_000, "identities; first a tenth of them")
	flag.IntVar(&s.policies, "policies", 1000, "policies")
	commands := flag.String("commands", "build", "directory of signet-agent, signet-cni, signet-verifier and signet-wg")
	out := flag.String("out", "build/bench/scale.json", "file for the results")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, unix.SIGTERM)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	results := report.New()
	err := measure(ctx, s, *commands, results)
	err = errors.Join(err, results.Save(*out), results.Print(os.Stdout))
	if err = errors.Join(err, results.Err()); err != nil {
		fmt.Fprintln(os.Stderr, "scale:", err)
		return 1
	}
	return 0
}

// measure fills the cluster step by step, and measures after each.
func measure(ctx context.Context, s size, commands string, results *report.Report) (err error) {
	c, err := openCluster(s)
	if err != nil {
		return err
	}
	n, err := newNode(ctx, c, commands)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, n.close()) }()
	few := size{nodes: s.nodes, pods: s.pods / 10, identities: s.identities / 10, policies: s.policies}
	stages := []size{few, {few.nodes, s.pods, few.identities, few.policies}, s}
	var found []usage
	for _, stage := range stages {
		if err := c.fill(ctx, stage); err != nil {
			return err
		}
		took, err := n.verified(ctx, c)
		if err != nil {
			return err
		}
		u, err := n.measureAgent(ctx, stage)
		if err != nil {
			return err
		}
		u.verified = took
		found = append(found, u)
	}
	results.Add(growth(found)...)
	return atFullSize(ctx, n, c, results)
}

// atFullSize measures what an agent does while it runs in the full cluster.
func atFullSize(ctx context.Context, n *node, c *cluster, results *report.Report) error {
	agent, _, err := n.StartAgent(ctx)
	if err != nil {
		return err
	}
	defer agent.Stop()
	for _, part := range []func(context.Context, *node, *cluster) ([]report.Row, error){measureStarts, measureSpread} {
		rows, err := part(ctx, n, c)
		results.Add(rows...)
		if err != nil {
			return err
		}
	}
	return nil
}

var began = time.Now()

// say tells how far the run has come.
func say(format string, args ...any) {
	fmt.Printf("%4ds  %s\n", int(time.Since(began).Seconds()), fmt.Sprintf(format, args...))
}
