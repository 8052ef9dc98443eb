package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/signet-cni/signet/identity"
	"github.com/signet-cni/signet/internal/cli/table"
)

func (a *app) topCommand() *cobra.Command {
	var namespace string
	var limit int
	top := &cobra.Command{
		Use: "top", Short: "Show which label keys split identities most", Args: noArgs,
		Long: `Show which pod label keys split identities most.

SPARED is how many identities fewer there would be if the key were ignored
(ignoreLabels in the ConfigMap signet-config), MOST-IN the namespace where most
of them are.`,
		Example: `  signet identity top
  signet identity top --namespace ci --limit 3`,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.topKeys(cmd.Context(), namespace, limit) },
	}
	top.Flags().StringVarP(&namespace, "namespace", "n", "", "only identities of this namespace")
	top.Flags().IntVar(&limit, "limit", 10, "at most so many keys; 0: all")
	a.outputFlag(top, "table", "json")
	return top
}

func (a *app) topKeys(ctx context.Context, namespace string, limit int) error {
	if limit < 0 {
		return usageError{fmt.Errorf("--limit %d: want 0 or more", limit)}
	}
	t, err := a.target(ctx)
	if err != nil {
		return err
	}
	answer, err := identities(ctx, t)
	if err != nil {
		return err
	}
	var sets []identity.Set
	for _, i := range answer.Items {
		if namespace == "" || i.Namespace == namespace {
			sets = append(sets, identity.Set{Namespace: i.Namespace, NamespaceLabels: i.NamespaceLabels, PodLabels: i.PodLabels})
		}
	}
	keys := identity.Split(sets)
	if limit > 0 {
		keys = keys[:min(limit, len(keys))]
	}
	if err := a.showTop(keys, len(sets)); err != nil {
		return err
	}
	return a.tellFailed(answer.Failed, len(t.agents))
}

func (a *app) showTop(keys []identity.Splitter, total int) error {
	if a.output == "json" {
		return writeJSON(a.env.Stdout, keys)
	}
	if len(keys) == 0 {
		return a.print("no labels")
	}
	view := table.New("LABEL", "SPARED", "OF", "VALUES", "IDENTITIES", "MOST-IN")
	for _, k := range keys {
		view.Add(k.Key, k.Spared, total, k.Values, k.Identities, k.Namespace)
	}
	return view.Write(a.env.Stdout, a.env.Colour)
}
