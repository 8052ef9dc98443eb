package cli

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/signet-cni/signet/identity"
	"github.com/signet-cni/signet/internal/api"
	"github.com/signet-cni/signet/internal/cli/table"
)

func (a *app) endpointCommand() *cobra.Command {
	var namespace string
	list := &cobra.Command{
		Use: "list", Short: "List the pods that Signet connects", Args: noArgs,
		Example: `  signet endpoint list
  signet endpoint list --namespace concert -o wide`,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.listEndpoints(cmd.Context(), namespace) },
	}
	list.Flags().StringVarP(&namespace, "namespace", "n", "", "only pods of this namespace")
	a.outputFlag(list, "table", "wide", "json")
	return group("endpoint", "endpoints", "See the pods that Signet connects", list)
}

func (a *app) listEndpoints(ctx context.Context, namespace string) error {
	t, err := a.target(ctx)
	if err != nil {
		return err
	}
	answer, err := endpoints(ctx, t)
	if err != nil {
		return err
	}
	if namespace != "" {
		answer.Items = slices.DeleteFunc(answer.Items, func(e api.Endpoint) bool { return e.Namespace != namespace })
	}
	if a.output == "json" {
		err = writeJSON(a.env.Stdout, answer)
	} else {
		err = a.showEndpoints(answer.Items)
	}
	if err != nil {
		return err
	}
	return a.tellFailed(answer.Failed, len(t.agents))
}

// endpoints asks for all endpoints, in order.
func endpoints(ctx context.Context, t target) (Answer[api.Endpoint], error) {
	answer, err := gather(ctx, t, func(ctx context.Context, c *api.Client) ([]api.Endpoint, error) {
		return c.Endpoints(ctx)
	}, "endpoint", "list")
	slices.SortFunc(answer.Items, func(a, b api.Endpoint) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Pod, b.Pod), a.Addr.Compare(b.Addr))
	})
	return answer, err
}

func (a *app) showEndpoints(items []api.Endpoint) error {
	if len(items) == 0 {
		return a.print("no pods")
	}
	columns := []string{"NAMESPACE", "POD", "NODE", "ADDRESS", "IDENTITY", "LABELS"}
	if a.output == "wide" {
		columns = append(columns, "INTERFACE", "SHAPED", "SANDBOX")
	}
	t := table.New(columns...)
	for _, e := range items {
		row := []any{e.Namespace, e.Pod, e.Node, addrsText(e), idCell(e.Identity), labelText(e.Labels)}
		if a.output == "wide" {
			row = append(row, e.IfName, yesNo(e.Shaped), shortID(e.ContainerID))
		}
		t.Add(row...)
	}
	return t.Write(a.env.Stdout, a.env.Colour)
}

// addrsText gives a pod's addresses, separated by commas.
func addrsText(e api.Endpoint) string {
	var texts []string
	for _, addr := range e.Addrs() {
		texts = append(texts, addrText(addr))
	}
	return strings.Join(texts, ",")
}

// idCell shows an identity, an underived one as pending.
func idCell(id identity.ID) table.Cell {
	if id == identity.Unknown {
		return table.Cell{Text: "pending", Colour: table.Yellow}
	}
	return table.Text(cmp.Or(id.Name(), id.String()))
}
