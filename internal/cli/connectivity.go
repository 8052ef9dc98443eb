package cli

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/signet-cni/signet/internal/kube/agents"
	"github.com/signet-cni/signet/internal/kube/trial"
)

const (
	// startTime bounds the start of the test's pods, removeTime their removal.
	startTime  = 3 * time.Minute
	removeTime = 2 * time.Minute
)

// connectivityFlags are the flags of "connectivity test".
type connectivityFlags struct {
	image, world string
	hostPort     uint16
}

func (a *app) connectivityCommand() *cobra.Command {
	var f connectivityFlags
	cmd := &cobra.Command{
		Use: "test", Short: "Try every path between all nodes with pods of its own", Args: noArgs,
		Long: `Try every path between all nodes with pods of its own.

Three pods a node are created in a new namespace, with the image of the agents:
a client, a server, and one that shares the node's network. From every node to
every node, over TCP and UDP, and both IPv4 and IPv6 where pods have both, these
are tried:

  POD        a pod of the other node; it has to see the client's own address
  SERVICE    the ClusterIP of a Service in front of it
  DNS        the name of that Service
  NODE       the other node's own address, from a pod
  FROM-NODE  the pod, from the node itself
  POLICY     with two NetworkPolicies in force: what they admit, and what lacks
             the one or the other direction
  ENCRYPTED  while all that is tried, the agents watch the devices between the
             nodes and the tunnel: the same bytes have to pass the tunnel, and
             may never be seen in clear beside it

--world adds a TCP connection from a pod of each node to an address outside of
the cluster; without it nothing leaves the cluster. Everything is removed at the
end, also if the test is interrupted. The exit code is 0 if all paths work. You
need the rights to create namespaces, pods, Services and NetworkPolicies.`,
		Example: `  signet connectivity test
  signet connectivity test --world 192.0.2.7:443
  signet connectivity test --node worker-1,worker-2 -o json
  signet connectivity test --image registry.example.com/signet:1`,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.connectivity(cmd.Context(), f) },
	}
	flags := cmd.Flags()
	flags.StringVar(&f.image, "image", "", "image of the pods, with the command signet (default that of the agents)")
	flags.StringVar(&f.world, "world", "", "HOST:PORT outside of the cluster to connect to over TCP")
	flags.Uint16Var(&f.hostPort, "host-port", 28472, "TCP and UDP port for the test on the nodes' own addresses")
	a.outputFlag(cmd, "table", "json")
	return group("connectivity", "conn", "Try whether everything reaches what it should", cmd)
}

// connectivity runs the test and removes everything again.
func (a *app) connectivity(ctx context.Context, f connectivityFlags) (err error) {
	if f.world != "" {
		if _, _, err := net.SplitHostPort(f.world); err != nil {
			return usageError{fmt.Errorf("--world %q: want HOST:PORT: %w", f.world, err)}
		}
	}
	t, err := a.everyNode(ctx)
	if err != nil {
		return err
	}
	run := &connectivityRun{app: a, target: t, flags: f}
	var absent []Failure
	for _, agent := range t.agents {
		if agent.Problem != "" {
			absent = append(absent, Failure{Node: agent.Node, Error: agent.Problem})
			continue
		}
		run.agents = append(run.agents, agent)
	}
	if len(run.agents) == 0 {
		return a.tellFailed(absent, len(t.agents))
	}
	if err := run.make(); err != nil {
		return err
	}
	defer func() {
		remove, cancel := context.WithTimeout(context.WithoutCancel(ctx), removeTime)
		defer cancel()
		if removed := run.trial.Remove(remove); removed != nil {
			a.complain(removed.Error())
			err = errTold
		}
	}()
	if err := run.all(ctx); err != nil {
		return interrupted(ctx, err)
	}
	return a.showPaths(run, absent)
}

// interrupted says so if that is why something failed.
func interrupted(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return errors.New("interrupted: the test is not complete")
	}
	return err
}

// everyNode gives the agents of a cluster, whatever runs on this machine.
func (a *app) everyNode(ctx context.Context) (target, error) {
	if a.local {
		return target{}, usageError{errors.New("--local: this is about a whole cluster")}
	}
	return a.clusterTarget(ctx)
}

// connectivityRun is one run of the test.
type connectivityRun struct {
	app                     *app
	target                  target
	flags                   connectivityFlags
	agents                  []agents.Agent // of the nodes that take part
	trial                   *trial.Trial
	clients, servers, hosts []trial.Pod // by the number of the node
	marker                  string
	results                 []PathResult
}

// make prepares the trial; nothing exists yet.
func (r *connectivityRun) make() error {
	image := r.flags.image
	if image == "" {
		image = r.agents[0].Image
	}
	nodes := make([]string, 0, len(r.agents))
	for _, agent := range r.agents {
		nodes = append(nodes, agent.Node)
	}
	made, err := r.target.cluster.Trial(trial.Config{
		Image: image, Nodes: nodes, HostPort: r.flags.hostPort, Progress: r.progress,
	})
	r.trial = made
	return err
}

// progress tells what happens, on standard error.
func (r *connectivityRun) progress(text string) { r.app.progress(text) }

func (r *connectivityRun) all(ctx context.Context) error {
	start, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	if err := r.trial.Start(start); err != nil {
		return err
	}
	r.number()
	if err := r.mark(); err != nil {
		return err
	}
	watch := r.watch(ctx)
	r.progress(fmt.Sprintf("trying paths between %s", count(len(r.agents), "node", "nodes")))
	r.askUntilRight(ctx, r.openPaths())
	r.results = append(r.results, watch.encrypted(r)...)
	r.progress("trying the same with policies in force")
	if err := r.trial.Isolate(ctx); err != nil {
		return err
	}
	r.askUntilRight(ctx, r.policyPaths())
	return ctx.Err()
}

// number sorts the pods by their node's number.
func (r *connectivityRun) number() {
	of := func(role string) []trial.Pod {
		list := make([]trial.Pod, len(r.agents))
		for n, agent := range r.agents {
			at := slices.IndexFunc(r.trial.Pods, func(p trial.Pod) bool { return p.Role == role && p.Node == agent.Node })
			list[n] = r.trial.Pods[at]
		}
		return list
	}
	r.clients, r.servers, r.hosts = of(trial.Client), of(trial.Server), of(trial.Host)
}
