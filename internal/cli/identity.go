package cli

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/spf13/cobra"

	"github.com/signet-cni/signet/identity"
	"github.com/signet-cni/signet/internal/api"
	"github.com/signet-cni/signet/internal/cli/table"
)

func (a *app) identityCommand() *cobra.Command {
	var namespace string
	list := &cobra.Command{
		Use: "list", Short: "List the identities and the labels they stand for", Args: noArgs,
		Example: `  signet identity list
  signet identity list --namespace concert -o wide`,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.listIdentities(cmd.Context(), namespace) },
	}
	list.Flags().StringVarP(&namespace, "namespace", "n", "", "only identities of this namespace")
	a.outputFlag(list, "table", "wide", "json")
	show := &cobra.Command{
		Use: "show NUMBER", Short: "Show what a number stands for and which pods have it", Args: oneArg,
		Example: `  signet identity show 2463510212`,
		RunE:    func(cmd *cobra.Command, args []string) error { return a.showIdentity(cmd.Context(), args[0]) },
	}
	return group("identity", "identities", "See the identities that packets carry", list, show, a.topCommand())
}

func oneArg(cmd *cobra.Command, args []string) error {
	if len(args) != 1 {
		return usageError{fmt.Errorf("\"%s\" takes one argument, not %d", cmd.CommandPath(), len(args))}
	}
	return nil
}

func (a *app) listIdentities(ctx context.Context, namespace string) error {
	t, err := a.target(ctx)
	if err != nil {
		return err
	}
	answer, err := identities(ctx, t)
	if err != nil {
		return err
	}
	if namespace != "" {
		answer.Items = slices.DeleteFunc(answer.Items, func(i api.Identity) bool { return i.Namespace != namespace })
	}
	if a.output == "json" {
		err = writeJSON(a.env.Stdout, answer)
	} else {
		err = a.showIdentities(answer.Items)
	}
	if err != nil {
		return err
	}
	return a.tellFailed(answer.Failed, len(t.agents))
}

// identities asks for all identities. Every node knows all of them, but only
// its own pods.
func identities(ctx context.Context, t target) (Answer[api.Identity], error) {
	answer, err := gather(ctx, t, func(ctx context.Context, c *api.Client) ([]api.Identity, error) {
		return c.Identities(ctx)
	}, "identity", "list")
	merged := map[identity.ID]api.Identity{}
	for _, item := range answer.Items {
		item.Local += merged[item.ID].Local
		merged[item.ID] = item
	}
	answer.Items = slices.SortedFunc(maps.Values(merged), func(a, b api.Identity) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace),
			cmp.Compare(labelText(a.PodLabels), labelText(b.PodLabels)), cmp.Compare(a.ID, b.ID))
	})
	return answer, err
}

func (a *app) showIdentities(items []api.Identity) error {
	if len(items) == 0 {
		return a.print("no identities")
	}
	columns := []string{"IDENTITY", "NAMESPACE", "PODS", "LABELS"}
	if a.output == "wide" {
		columns = append(columns, "NAMESPACE-LABELS")
	}
	t := table.New(columns...)
	for _, i := range items {
		row := []any{i.ID, i.Namespace, i.Local, labelText(i.PodLabels)}
		if a.output == "wide" {
			row = append(row, labelText(i.NamespaceLabels))
		}
		t.Add(row...)
	}
	return t.Write(a.env.Stdout, a.env.Colour)
}

// showIdentity shows one identity and its pods.
func (a *app) showIdentity(ctx context.Context, number string) error {
	id, err := identity.Parse(number)
	if err != nil {
		return usageError{err}
	}
	if id.Reserved() {
		return a.print(fmt.Sprintf("%s is reserved: %s", id, id.Name()))
	}
	t, err := a.target(ctx)
	if err != nil {
		return err
	}
	known, err := identities(ctx, t)
	if err != nil {
		return err
	}
	at := slices.IndexFunc(known.Items, func(i api.Identity) bool { return i.ID == id })
	if at < 0 {
		told := a.tellFailed(known.Failed, len(t.agents))
		return cmp.Or(told, fmt.Errorf("no identity %s: \"signet identity list\" shows those there are", id))
	}
	pods, err := endpoints(ctx, t)
	if err != nil {
		return err
	}
	pods.Items = slices.DeleteFunc(pods.Items, func(e api.Endpoint) bool { return e.Identity != id })
	if err := a.showIdentityFacts(known.Items[at], pods.Items); err != nil {
		return err
	}
	return a.tellFailed(pods.Failed, len(t.agents))
}

func (a *app) showIdentityFacts(i api.Identity, pods []api.Endpoint) error {
	t := &table.Table{}
	t.Add("Identity:", fmt.Sprintf("%d (%#08x)", uint32(i.ID), uint32(i.ID)))
	t.Add("Namespace:", i.Namespace)
	t.Add("Pod labels:", labelText(i.PodLabels))
	t.Add("Namespace labels:", labelText(i.NamespaceLabels))
	for n, pod := range pods {
		name := ""
		if n == 0 {
			name = "Pods:"
		}
		t.Add(table.Cell{Text: cmp.Or(name, " ")}, fmt.Sprintf("%s/%s on %s, %s", pod.Namespace, pod.Pod, pod.Node, addrsText(pod)))
	}
	if len(pods) == 0 {
		t.Add("Pods:", "none")
	}
	return t.Write(a.env.Stdout, a.env.Colour)
}
