package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/signet-cni/signet/internal/cli/archive"
	"github.com/signet-cni/signet/internal/kube/agents"
	"github.com/signet-cni/signet/internal/nodefacts"
)

// cniDir is where an agent's container sees the node's CNI configuration.
const cniDir = "/host/etc/cni/net.d"

// dumpFlows is how many of a node's flows are kept.
const dumpFlows = 2000

// nodeParts are the files of each node, and what is asked for them.
var nodeParts = map[string][]string{
	"status.json": {"status"}, "endpoints.json": {"endpoint", "list"}, "identities.json": {"identity", "list"},
	"policies.json": {"policy", "list"}, "services.json": {"service", "list"}, "facts.json": {"node-facts"},
	"flows.jsonl": {"flows", fmt.Sprintf("--last=%d", dumpFlows)},
}

// clusterParts are the files of the cluster, and the paths of their objects.
// There are no Secrets among them. NS stands for the namespace of the agents.
var clusterParts = map[string]string{
	"version.json":         "/version",
	"nodes.json":           "/api/v1/nodes",
	"namespaces.json":      "/api/v1/namespaces",
	"pods.json":            "/api/v1/pods?limit=10000",
	"services.json":        "/api/v1/services",
	"endpointslices.json":  "/apis/discovery.k8s.io/v1/endpointslices?limit=10000",
	"events.json":          "/api/v1/events?limit=5000",
	"networkpolicies.json": "/apis/networking.k8s.io/v1/networkpolicies",
	"identities.json":      "/apis/signet-cni.io/v1alpha1/identities",
	"tunnels.json":         "/apis/signet-cni.io/v1alpha1/tunnels",
	"admission.json":       "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies",
	"config.json":          "/api/v1/namespaces/NS/configmaps/signet-config",
	"daemonsets.json":      "/apis/apps/v1/namespaces/NS/daemonsets",
	"lease.json":           "/apis/coordination.k8s.io/v1/namespaces/NS/leases/signet-collector",
}

func (a *app) sysdumpCommand() *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use: "sysdump", Short: "Collect everything that a bug report needs into one archive", Args: noArgs,
		Long: `Collect everything that a bug report needs into one archive.

Of every node: the agent's log, status, pods, identities, policies, Services and
latest flows, and the kernel's links, routes, rules, nftables and settings. Of
the cluster: nodes, pods, Services, policies, identities, tunnels, Events and
Signet's configuration. Secrets are not asked for, keys are not read, and values
of environment variables, command lines and tokens are taken out. Names, labels
and addresses stay: look at it before you hand it on.

What cannot be had is listed in PARTIAL.txt, and the exit code is then 1.`,
		Example: `  signet sysdump
  signet sysdump --file /tmp/before.tar.gz --node worker-1
  signet sysdump --local                    of this node alone, without the API server`,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.sysdump(cmd.Context(), file) },
	}
	cmd.Flags().StringVar(&file, "file", "", "archive to write (default signet-sysdump-TIME.tar.gz)")
	return cmd
}

// nodeFactsCommand is what one signet asks another on a node.
func (a *app) nodeFactsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "node-facts", Hidden: true, Args: noArgs, Short: "Show what \"sysdump\" reads of a node's kernel",
		Example: "  signet node-facts --local",
		RunE: func(*cobra.Command, []string) error {
			return writeJSON(a.env.Stdout, Answer[nodefacts.Facts]{Items: []nodefacts.Facts{nodefacts.Collect(cniDir)}})
		},
	}
	a.outputFlag(cmd, "json")
	return cmd
}

func (a *app) sysdump(ctx context.Context, file string) error {
	t, err := a.target(ctx)
	if err != nil {
		return err
	}
	name := "signet-sysdump-" + a.env.Now().UTC().Format("20060102-150405")
	if file == "" {
		file = name + ".tar.gz"
	}
	out, err := archive.Create(file, name, a.env.Now())
	if errors.Is(err, os.ErrExist) {
		return fmt.Errorf("%s exists: give another name with --file", file)
	}
	if err != nil {
		return err
	}
	d := &dump{app: a, target: t, out: out}
	if t.local == nil {
		d.cluster(ctx)
		d.logs(ctx)
	}
	d.nodes(ctx)
	out.Add("about.txt", d.about(ctx))
	if err := out.Close(); err != nil {
		return fmt.Errorf("write %s: %w", file, err)
	}
	if err := a.print(file); err != nil {
		return err
	}
	return a.tellMissing(out.Missing())
}

// tellMissing tells what an archive lacks. The result is errTold if anything.
func (a *app) tellMissing(missing []string) error {
	for _, m := range missing {
		a.complain(m)
	}
	if len(missing) == 0 {
		return nil
	}
	a.complain(fmt.Sprintf("partial result: %s missing, see PARTIAL.txt in the archive", count(len(missing), "part is", "parts are")))
	return errTold
}

// dump fills one archive.
type dump struct {
	app    *app
	target target
	out    *archive.Archive
}

// about says how the archive was made.
func (d *dump) about(ctx context.Context) []byte {
	var text strings.Builder
	fmt.Fprintf(&text, "made by signet %s at %s\n", d.app.env.Version, d.app.env.Now().UTC().Format(time.RFC3339))
	for _, agent := range d.target.agents {
		fmt.Fprintf(&text, "node %s: pod %s, image %s %s\n", agent.Node, agent.Pod, agent.Image, agent.Problem)
	}
	if ctx.Err() != nil {
		fmt.Fprintln(&text, "interrupted")
	}
	return []byte(text.String())
}

// cluster adds the API server's objects.
func (d *dump) cluster(ctx context.Context) {
	d.app.progress("objects of the cluster")
	var asking sync.WaitGroup
	for name, path := range clusterParts {
		asking.Go(func() {
			raw, err := d.target.cluster.Raw(ctx, strings.ReplaceAll(path, "/NS/", "/"+d.app.namespace+"/"))
			if err == nil {
				raw, err = archive.Objects(raw)
			}
			d.add("cluster/"+name, raw, err)
		})
	}
	asking.Wait()
}

// logs adds the logs of Signet's pods.
func (d *dump) logs(ctx context.Context) {
	sources, err := d.target.cluster.LogSources(ctx)
	if err != nil {
		d.out.Miss("logs", err)
		return
	}
	d.app.progress(fmt.Sprintf("logs of %s", count(len(sources), "container", "containers")))
	var asking sync.WaitGroup
	slots := make(chan struct{}, sessions)
	for _, source := range sources {
		if !d.asked(source.Node) {
			continue
		}
		asking.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			var log bytes.Buffer
			err := d.target.cluster.Log(ctx, source, &log)
			name := source.Pod + "." + source.Container
			if source.Previous {
				name += ".previous"
			}
			d.add("nodes/"+source.Node+"/"+name+".log", log.Bytes(), err)
		})
	}
	asking.Wait()
}

// asked reports whether a node is among those that the user wants.
func (d *dump) asked(node string) bool {
	for _, agent := range d.target.agents {
		if agent.Node == node {
			return true
		}
	}
	return false
}

// nodes adds what the agents know and what their nodes' kernels say.
func (d *dump) nodes(ctx context.Context) {
	if d.target.local != nil {
		for name, command := range nodeParts {
			raw, err := d.app.here(ctx, command)
			d.add("nodes/local/"+name, raw, err)
		}
		return
	}
	d.target.each(ctx, sessions, func(agent agents.Agent) {
		d.app.progress("node " + agent.Node)
		var asking sync.WaitGroup
		for name, command := range nodeParts {
			asking.Go(func() {
				raw, err := d.there(ctx, agent, command)
				d.add("nodes/"+agent.Node+"/"+name, raw, err)
			})
		}
		asking.Wait()
	})
}

func (d *dump) add(name string, data []byte, err error) {
	if len(data) > 0 {
		d.out.Add(name, data)
	}
	if err != nil {
		d.out.Miss(name, err)
	}
}

// there runs a command at a node's agent. One that fails there may have
// answered all the same, as "status" does.
func (d *dump) there(ctx context.Context, agent agents.Agent, command []string) ([]byte, error) {
	if agent.Problem != "" {
		return nil, errors.New(agent.Problem)
	}
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	var out bytes.Buffer
	err := d.target.cluster.Exec(ctx, agent, remoteCommand(command), &out)
	var exit *agents.ExitError
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return out.Bytes(), errNoAnswer
	case errors.As(err, &exit) && out.Len() > 0:
		return out.Bytes(), nil
	case err != nil:
		return out.Bytes(), remoteError(err)
	}
	return out.Bytes(), nil
}

// here runs a command in this process, for this node.
func (a *app) here(ctx context.Context, command []string) ([]byte, error) {
	var out, errs bytes.Buffer
	env := a.env
	env.Stdout, env.Stderr, env.Colour = &out, &errs, false
	args := append(append([]string{}, command...), "--local", "--socket", a.socket, "-o", "json")
	if code := Run(ctx, args, env); code != exitOK && out.Len() == 0 {
		return nil, errors.New(strings.TrimPrefix(strings.TrimSpace(errs.String()), complaint))
	}
	return out.Bytes(), nil
}
