package cli

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/signet-cni/signet/internal/api"
)

// completeTime bounds what a key stroke may wait for.
const completeTime = 3 * time.Second

// Paths of the API server that list what can be named.
const (
	namespacesPath = "/api/v1/namespaces"
	nodesPath      = "/api/v1/nodes"
	podsPath       = "/api/v1/pods"
	servicesPath   = "/api/v1/services"
	policiesPath   = "/apis/networking.k8s.io/v1/networkpolicies"
	identitiesPath = "/apis/signet-cni.io/v1alpha1/identities"
)

// completer gives what could stand where the cursor is.
type completer func(ctx context.Context, typed string) []string

// completers are those of flags, by name: a flag means the same everywhere.
func (a *app) completers() map[string]completer {
	fixed := func(list ...string) completer {
		return func(context.Context, string) []string { return list }
	}
	return map[string]completer{
		"node": a.named(nodesPath), "namespace": a.named(namespacesPath), "signet-namespace": a.named(namespacesPath),
		"pod": a.named(podsPath), "from": a.named(podsPath), "to": a.targets, "policy": a.named(policiesPath),
		"verdict": fixed(api.Verdicts...), "protocol": fixed("TCP", "UDP", "SCTP", "ICMP"),
		"identity": a.identityNames,
	}
}

// completion sets up the shells' completion on every command below.
func (a *app) completion(root *cobra.Command) {
	root.InitDefaultCompletionCmd()
	all := a.completers()
	root.PersistentFlags().VisitAll(func(flag *pflag.Flag) { complete(root, flag.Name, all[flag.Name]) })
	for _, cmd := range commands(root) {
		cmd.LocalNonPersistentFlags().VisitAll(func(flag *pflag.Flag) { complete(cmd, flag.Name, all[flag.Name]) })
		if cmd.HasParent() && cmd.Parent().Name() == "completion" {
			cmd.Example = "  source <(signet completion " + cmd.Name() + ")"
		}
		switch cmd.CommandPath() {
		case a.env.name() + " completion":
			cmd.Example = "  source <(signet completion bash)"
		case a.env.name() + " identity show":
			cmd.ValidArgsFunction = shell(a.named(identitiesPath))
		}
	}
}

// commands gives all commands below one, itself not among them.
func commands(of *cobra.Command) []*cobra.Command {
	var list []*cobra.Command
	for _, cmd := range of.Commands() {
		list = append(append(list, cmd), commands(cmd)...)
	}
	return list
}

func complete(cmd *cobra.Command, flag string, with completer) {
	if with != nil {
		_ = cmd.RegisterFlagCompletionFunc(flag, shell(with)) // the flag exists, and has none yet
	}
}

// shell makes a completer fit for cobra. Lists of several values complete the
// last one.
func shell(with completer) cobra.CompletionFunc {
	return func(cmd *cobra.Command, _ []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
		ctx, cancel := context.WithTimeout(cmd.Context(), completeTime)
		defer cancel()
		before, last := "", typed
		if at := strings.LastIndexByte(typed, ','); at >= 0 {
			before, last = typed[:at+1], typed[at+1:]
		}
		var list []cobra.Completion
		for _, name := range with(ctx, last) {
			if strings.HasPrefix(name, last) {
				list = append(list, before+name)
			}
		}
		slices.Sort(list)
		return list, cobra.ShellCompDirectiveNoFileComp
	}
}

// named completes names of the API server's objects: NAME, or NAMESPACE/NAME.
func (a *app) named(path string) completer {
	return func(ctx context.Context, typed string) []string {
		t, err := a.clusterOnly()
		if err != nil {
			return nil // a completion has nobody to tell
		}
		namespace, _, qualified := strings.Cut(typed, "/")
		if at := strings.LastIndexByte(path, '/'); qualified {
			path = path[:at] + "/namespaces/" + namespace + path[at:]
		}
		names, _ := t.Names(ctx, path)
		return names
	}
}

// targets are what "policy why --to" takes.
func (a *app) targets(ctx context.Context, typed string) []string {
	if name, isService := strings.CutPrefix(typed, "service/"); isService {
		var list []string
		for _, service := range a.named(servicesPath)(ctx, name) {
			list = append(list, "service/"+service)
		}
		return list
	}
	return append(a.named(podsPath)(ctx, typed), "service/")
}

func (a *app) identityNames(ctx context.Context, typed string) []string {
	return append(a.named(identitiesPath)(ctx, typed), "host", "remote-node", "world", "unmanaged", "health", "unknown")
}
