package cli

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/signet-cni/signet/internal/api"
	"github.com/signet-cni/signet/internal/cli/table"
)

func (a *app) serviceCommand() *cobra.Command {
	var namespace string
	list := &cobra.Command{
		Use: "list", Short: "List the Services that nodes translate to pods", Args: noArgs,
		Long: `List the Services that nodes translate to pods: what the first node that answers
knows.`,
		Example: `  signet service list --namespace concert`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			t, err := a.target(cmd.Context())
			if err != nil {
				return err
			}
			items, err := t.services(cmd.Context())
			if err != nil {
				return err
			}
			if namespace != "" {
				items = slices.DeleteFunc(items, func(s api.Service) bool { return s.Namespace != namespace })
			}
			if a.output == "json" {
				return writeJSON(a.env.Stdout, Answer[api.Service]{Items: items})
			}
			return a.showServices(items)
		},
	}
	list.Flags().StringVarP(&namespace, "namespace", "n", "", "only Services of this namespace")
	a.outputFlag(list, "table", "json")
	return group("service", "services", "See the Services that nodes translate to pods", list)
}

// services asks the first node that answers: all know the same.
func (t target) services(ctx context.Context) ([]api.Service, error) {
	if t.local != nil {
		items, err := t.local.Services(ctx)
		return items, explainLocal(err)
	}
	var last error
	for _, agent := range t.agents {
		items, err := askRemote[api.Service](ctx, t.cluster, agent, []string{"service", "list"})
		if err == nil {
			return items, nil
		}
		last = err
	}
	return nil, last
}

func (a *app) showServices(items []api.Service) error {
	if len(items) == 0 {
		return a.print("no Services")
	}
	slices.SortFunc(items, func(x, y api.Service) int {
		return cmp.Or(cmp.Compare(x.Namespace, y.Namespace), cmp.Compare(x.Name, y.Name), cmp.Compare(x.PortName, y.PortName))
	})
	t := table.New("NAMESPACE", "NAME", "PORT", "PROTOCOL", "ADDRESSES", "BACKENDS")
	for _, s := range items {
		var frontends, backends []string
		for _, f := range s.Frontends {
			frontends = append(frontends, f.String())
		}
		for _, b := range s.Backends {
			backends = append(backends, b.String())
		}
		t.Add(s.Namespace, s.Name, s.PortName, s.Protocol, strings.Join(frontends, ","), strings.Join(backends, ","))
	}
	return t.Write(a.env.Stdout, a.env.Colour)
}
