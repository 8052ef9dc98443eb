// Package cli is the command signet: it asks one node's agent over its socket,
// or all agents of a cluster through the API server, and shows the answers.
//
// Both ways give the same documents: towards a cluster, the command runs itself
// in each agent's container, with --local and -o json, and merges what comes
// back.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/signet-cni/signet/internal/api"
	"github.com/signet-cni/signet/internal/cli/table"
	"github.com/signet-cni/signet/internal/kube/agents"
	"github.com/signet-cni/signet/internal/kube/trial"
)

// Exit codes.
const (
	exitOK     = 0
	exitFailed = 1 // not ready, incomplete, or an error
	exitUsage  = 2
)

// Env is what the command gets from the process.
type Env struct {
	Name           string // under which the command was called; "": signet
	Version        string
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	Colour         bool // Stdout is a terminal that wants colours
	Now            func() time.Time
	// Connect reaches a cluster.
	Connect func(agents.Config) (Cluster, error)
}

// completesKubectl is the name under which kubectl calls its plugin's
// completion.
const completesKubectl = "kubectl_complete-signet"

// name is how users call the command.
func (e Env) name() string {
	if name := filepath.Base(e.Name); name == "kubectl-signet" || name == completesKubectl {
		return "kubectl signet"
	}
	return "signet"
}

// Cluster is what the command needs of agents.Cluster.
type Cluster interface {
	// Name is what users call the cluster.
	Name() string
	Agents(ctx context.Context) ([]agents.Agent, error)
	Owners(ctx context.Context) (map[string]agents.Owner, error)
	Exec(ctx context.Context, agent agents.Agent, command []string, stdout io.Writer) error
	// RunAt is Exec with a standard input, RunIn the same in a pod of a trial.
	RunAt(ctx context.Context, agent agents.Agent, command []string, stdin io.Reader, stdout io.Writer) error
	RunIn(ctx context.Context, namespace, pod string, command []string, stdin []byte, stdout io.Writer) error
	Trial(config trial.Config) (*trial.Trial, error)
	// Names lists the objects at a path: NAME, or NAMESPACE/NAME.
	Names(ctx context.Context, path string) ([]string, error)
	// Raw gets what the API server has at a path.
	Raw(ctx context.Context, path string) ([]byte, error)
	LogSources(ctx context.Context) ([]agents.LogSource, error)
	Log(ctx context.Context, source agents.LogSource, w io.Writer) error
}

// errTold ends a command whose failure the user has been told of.
var errTold = errors.New("told")

// usageError is a command line that makes no sense.
type usageError struct{ error }

// Run runs the command line and returns the exit code.
func Run(ctx context.Context, args []string, env Env) int {
	if filepath.Base(env.Name) == completesKubectl {
		args = append([]string{cobra.ShellCompRequestCmd}, args...)
	}
	a := &app{env: env}
	root := a.root() //nolint:contextcheck // cobra hands ctx to the commands
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	var usage usageError
	switch {
	case err == nil:
		return exitOK
	case errors.Is(err, errTold):
		return exitFailed
	case errors.As(err, &usage):
		a.complain(err.Error() + "; see \"signet --help\"")
		return exitUsage
	case errors.Is(err, context.Canceled) && ctx.Err() != nil:
		return exitFailed // the user knows
	default:
		a.complain(err.Error())
		return exitFailed
	}
}

// app is one run of the command.
type app struct {
	env        Env
	socket     string
	local      bool
	kubeconfig string
	context    string
	namespace  string // of the agents
	nodes      []string
	output     string
}

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use: "signet",
		// As kubectl's plugin the command is called kubectl-signet.
		Annotations: map[string]string{cobra.CommandDisplayNameAnnotation: a.env.name()},
		Short:       "See what the Signet pod network does and why",
		Long: `See what the Signet pod network does and why.

On a node, as root, signet asks that node's agent. Anywhere else it takes your
kubeconfig and asks every node's agent through the API server; for that you
need the rights to list pods and to exec in them, in kube-system.

Exit codes: 0 all is well; 1 not well, not complete, or it failed; 2 the command
line makes no sense. What fails is one line on standard error.`,
		Example: `  signet status                            is every node well?
  signet endpoint list                     which pods are there, with which identity?
  signet identity show 2463510212          what does this number stand for?
  signet flows -f --verdict dropped        what is being dropped, and why?
  signet flows --pod concert/vip           who talks to this pod?
  signet encrypt status                    is every pair of nodes connected, and how?
  signet key rotate                        change every node's WireGuard keys
  signet policy why --from concert/stranger --to concert/vip --port 80
  signet connectivity test                 does everything reach what it should?
  signet sysdump                           all that a bug report needs
  signet ui                                a live map in your browser`,
		SilenceUsage: true, SilenceErrors: true,
		Args: noArgs, RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetOut(a.env.Stdout)
	root.SetErr(a.env.Stderr)
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	flags := root.PersistentFlags()
	flags.BoolVar(&a.local, "local", false, "ask this node's agent only, over its socket")
	flags.StringVar(&a.socket, "socket", api.SocketPath, "path of the agent's socket")
	flags.StringVar(&a.kubeconfig, "kubeconfig", "", "path of the kubeconfig (default $KUBECONFIG or ~/.kube/config)")
	flags.StringVar(&a.context, "context", "", "context of the kubeconfig")
	flags.StringVar(&a.namespace, "signet-namespace", agents.DefaultNamespace, "namespace of the agents")
	flags.StringSliceVar(&a.nodes, "node", nil, "ask only these nodes of the cluster")
	root.AddCommand(a.statusCommand(), a.endpointCommand(), a.identityCommand(), a.flowsCommand(), a.policyCommand(), a.serviceCommand(),
		a.encryptCommand(), a.keyCommand(),
		a.connectivityCommand(), a.sysdumpCommand(), a.uiCommand(), a.nodeFactsCommand(), a.probeCommand(), a.versionCommand())
	a.completion(root)
	return root
}

func (a *app) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Show the version of this command", Args: noArgs,
		Example: "  signet version",
		Long:    `Show the version of this command. Those of the agents are in "signet status".`,
		RunE:    func(*cobra.Command, []string) error { return a.print("signet " + a.env.Version) },
	}
}

// group makes a command that only holds others.
func group(name, alias, short string, commands ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{
		Use: name, Aliases: []string{alias}, Short: short, Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(commands...)
	var examples []string
	for _, sub := range commands {
		if first, _, _ := strings.Cut(sub.Example, "\n"); first != "" && !sub.Hidden {
			examples = append(examples, first)
		}
	}
	cmd.Example = strings.Join(examples, "\n")
	return cmd
}

// noArgs refuses arguments, an unknown command among them.
func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usageError{fmt.Errorf("unknown argument %q of \"%s\"", args[0], cmd.CommandPath())}
	}
	return nil
}

// outputFlag adds the flag -o with the formats that the command has; the first
// one is the default.
func (a *app) outputFlag(cmd *cobra.Command, formats ...string) {
	list := strings.Join(formats, ", ")
	output := cmd.Flags().StringP("output", "o", formats[0], "output format: "+list)
	cmd.PreRunE = func(*cobra.Command, []string) error {
		if !slices.Contains(formats, *output) {
			return usageError{fmt.Errorf("unknown output format %q: want one of %s", *output, list)}
		}
		a.output = *output
		return nil
	}
	complete(cmd, "output", func(context.Context, string) []string { return formats })
}

func (a *app) print(line string) error {
	_, err := fmt.Fprintln(a.env.Stdout, line)
	return err
}

// progress tells what happens, on standard error.
func (a *app) progress(text string) {
	_, _ = fmt.Fprintln(a.env.Stderr, "... "+table.Clean(text)) // nowhere else to tell
}

// complaint begins every line of complain.
const complaint = "signet: "

// complain tells the user in one line.
func (a *app) complain(text string) {
	_, _ = fmt.Fprintln(a.env.Stderr, complaint+table.Clean(text)) // nowhere else to tell
}
