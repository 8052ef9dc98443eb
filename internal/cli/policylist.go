package cli

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/signet-cni/signet/internal/api"
	"github.com/signet-cni/signet/internal/cli/table"
)

func (a *app) policyListCommand() *cobra.Command {
	var namespace string
	cmd := &cobra.Command{
		Use: "list", Short: "List policies and rules, how often each decided, and which never did", Args: noArgs,
		Long: `List policies and rules, how often each decided, and which never did.

Counters sum up the verdicts that the nodes told since their agents started.`,
		Example: `  signet policy list
  signet policy list --namespace concert
  signet policy list -o json | jq '.items[] | select(.identities == 0) | .name'`,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.listPolicies(cmd.Context(), namespace) },
	}
	cmd.Flags().StringVarP(&namespace, "namespace", "n", "", "only policies of this namespace")
	a.outputFlag(cmd, "table", "json")
	return cmd
}

func (a *app) listPolicies(ctx context.Context, namespace string) error {
	t, err := a.target(ctx)
	if err != nil {
		return err
	}
	answer, err := policies(ctx, t)
	if err != nil {
		return err
	}
	merged := Answer[api.PolicyStatus]{Items: answer.Items, Failed: answer.Failed}
	if t.local == nil {
		merged.Items = mergePolicies(answer.Items)
	}
	if namespace != "" {
		merged.Items = slices.DeleteFunc(merged.Items, func(p api.PolicyStatus) bool { return p.Namespace != namespace })
	}
	if a.output == "json" {
		err = writeJSON(a.env.Stdout, merged)
	} else {
		err = a.showPolicies(merged.Items)
	}
	if err != nil {
		return err
	}
	return a.tellFailed(answer.Failed, len(t.agents))
}

// policies asks every node for what it enforces.
func policies(ctx context.Context, t target) (Answer[api.PolicyStatus], error) {
	return gather(ctx, t, func(ctx context.Context, c *api.Client) ([]api.PolicyStatus, error) {
		return c.Policies(ctx)
	}, "policy", "list")
}

// mergePolicies sums up what the nodes say of the same policy.
func mergePolicies(items []api.PolicyStatus) []api.PolicyStatus {
	merged := []api.PolicyStatus{}
	at := map[string]int{}
	for _, p := range items {
		name := p.Namespace + "/" + p.Name
		n, known := at[name]
		if !known {
			at[name] = len(merged)
			p.Node, p.Rules = "", slices.Clone(p.Rules)
			merged = append(merged, p)
			continue
		}
		sum := &merged[n]
		sum.Identities = max(sum.Identities, p.Identities)
		sum.Local += p.Local
		sum.Denied += p.Denied
		for _, rule := range p.Rules {
			same := func(r api.RuleStatus) bool { return r.Direction == rule.Direction && r.Index == rule.Index }
			if i := slices.IndexFunc(sum.Rules, same); i >= 0 {
				sum.Rules[i].Hits += rule.Hits
			}
		}
	}
	slices.SortFunc(merged, func(x, y api.PolicyStatus) int {
		return cmp.Or(cmp.Compare(x.Namespace, y.Namespace), cmp.Compare(x.Name, y.Name))
	})
	return merged
}

func (a *app) showPolicies(items []api.PolicyStatus) error {
	if len(items) == 0 {
		return a.print("no policies: nobody is isolated")
	}
	t := table.New("POLICY", "ISOLATES", "PODS", "DENIED", "RULE", "HITS", "MARK")
	for _, p := range items {
		var directions []string
		for name, isolates := range map[string]bool{api.Ingress: p.Ingress, api.Egress: p.Egress} {
			if isolates {
				directions = append(directions, name)
			}
		}
		slices.Sort(directions)
		t.Add(p.Namespace+"/"+p.Name, strings.Join(directions, ","), p.Local, p.Denied, "", "", policyMark(p))
		for _, r := range p.Rules {
			mark := table.Cell{}
			if r.Hits == 0 {
				mark = table.Cell{Text: "never matched", Colour: table.Yellow}
			}
			t.Add(" ", " ", " ", " ", fmt.Sprintf("%s[%d] %s", r.Direction, r.Index, r.Text), r.Hits, mark)
		}
	}
	return t.Write(a.env.Stdout, a.env.Colour)
}

// policyMark says what is odd about a policy.
func policyMark(p api.PolicyStatus) table.Cell {
	switch {
	case len(p.Problems) > 0:
		return table.Cell{Text: "in part not honoured: " + strings.Join(p.Problems, "; "), Colour: table.Red}
	case p.Identities == 0:
		return table.Cell{Text: "selects nothing", Colour: table.Yellow}
	}
	return table.Cell{}
}
