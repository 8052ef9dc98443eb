package cli

import (
	"cmp"
	"context"
	"slices"

	"github.com/spf13/cobra"

	"github.com/signet-cni/signet/internal/api"
)

func (a *app) statusCommand() *cobra.Command {
	var quiet bool
	cmd := &cobra.Command{
		Use: "status", Short: "Show whether every node is well, and what to do if not", Args: noArgs,
		Long: `Show whether every node is well, and what to do if not.

The exit code is 0 if every node asked is ready, 1 otherwise.`,
		Example: `  signet status                      every node, one line each
  signet status --node worker-1      one node in detail
  signet status --local --quiet      on a node: nothing but the exit code, or what is wrong
  signet status -o json | jq '.items[] | {node, ready, problems}'`,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.status(cmd.Context(), quiet) },
	}
	cmd.Flags().BoolVarP(&quiet, "quiet", "q", false, "show only what is wrong, on standard error")
	a.outputFlag(cmd, "table", "json")
	return cmd
}

func (a *app) status(ctx context.Context, quiet bool) error {
	t, err := a.target(ctx)
	if err != nil {
		return err
	}
	answer, err := gather(ctx, t, func(ctx context.Context, c *api.Client) ([]api.Status, error) {
		status, err := c.Status(ctx)
		return []api.Status{status}, err
	}, "status")
	if err != nil {
		return err
	}
	slices.SortFunc(answer.Items, func(a, b api.Status) int { return cmp.Compare(a.Node, b.Node) })
	switch {
	case quiet:
		a.tellProblems(answer.Items)
	case a.output == "json":
		err = writeJSON(a.env.Stdout, answer)
	case len(answer.Items) == 1 && len(answer.Failed) == 0:
		err = a.showNode(answer.Items[0])
	default:
		err = a.showNodes(answer)
	}
	if err != nil {
		return err
	}
	if err := a.tellFailed(answer.Failed, len(answer.Items)+len(answer.Failed)); err != nil {
		return err
	}
	if slices.ContainsFunc(answer.Items, func(s api.Status) bool { return !s.Ready }) {
		return errTold
	}
	return nil
}

// tellProblems tells what is wrong with the nodes that are not ready.
func (a *app) tellProblems(items []api.Status) {
	for _, s := range items {
		if s.Ready {
			continue
		}
		for _, problem := range problems(s) {
			a.complain("node " + s.Node + ": " + problem)
		}
	}
}

// problems gives at least one for a node that is not ready.
func problems(s api.Status) []string {
	if !s.Ready && len(s.Problems) == 0 {
		return []string{"not ready, and the agent does not say why: see its log"}
	}
	return s.Problems
}
