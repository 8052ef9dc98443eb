package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/signet-cni/signet/identity"
	"github.com/signet-cni/signet/internal/api"
	"github.com/signet-cni/signet/internal/cli/table"
	"github.com/signet-cni/signet/internal/kube/agents"
)

// WhyAnswer is what the nodes concerned say to one packet.
type WhyAnswer struct {
	From string `json:"from"`
	To   string `json:"to"`
	// Answers of the nodes, the one that judges first.
	Answers []api.Why `json:"answers"`
	// Differences between kernel and compiled policy, or between nodes.
	Differences []string `json:"differences,omitempty"`
}

// askWhyCommand is what one signet asks another on a node.
func (a *app) askWhyCommand() *cobra.Command {
	var from, to, fromID, toID, port string
	cmd := &cobra.Command{
		Use: "ask-why", Hidden: true, Args: noArgs, Short: "Ask this node why",
		Example: "  signet policy ask-why --local --from 10.244.1.2 --to 10.244.2.3 --port 80/tcp",
		RunE: func(cmd *cobra.Command, _ []string) error {
			t, err := a.target(cmd.Context())
			if err != nil {
				return err
			}
			if t.local == nil {
				return usageError{errors.New("ask-why needs --local")}
			}
			values := api.WhyQuery{}.Values()
			values.Set("from", from)
			values.Set("to", to)
			values.Set("from-identity", fromID)
			values.Set("to-identity", toID)
			number, protocol, _ := strings.Cut(port, "/")
			values.Set("protocol", protocol)
			values.Set("port", number)
			query, err := api.ParseWhyQuery(values)
			if err != nil {
				return usageError{err}
			}
			why, err := t.local.Why(cmd.Context(), query)
			if err != nil {
				return explainLocal(err)
			}
			return writeJSON(a.env.Stdout, Answer[api.Why]{Items: []api.Why{why}})
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&from, "from", "", "address")
	flags.StringVar(&to, "to", "", "address")
	flags.StringVar(&fromID, "from-identity", "", "identity")
	flags.StringVar(&toID, "to-identity", "", "identity")
	flags.StringVar(&port, "port", "", "NUMBER/PROTOCOL")
	a.outputFlag(cmd, "json")
	return cmd
}

// whyCommandLine gives the command that asks the same on a node.
func whyCommandLine(q api.WhyQuery) []string {
	command := []string{"policy", "ask-why", "--from", q.From.String(), "--to", q.To.String()}
	if q.FromID != identity.Unknown {
		command = append(command, "--from-identity", q.FromID.String())
	}
	if q.ToID != identity.Unknown {
		command = append(command, "--to-identity", q.ToID.String())
	}
	port := ""
	if q.Port != 0 {
		port = fmt.Sprint(q.Port)
	}
	return append(command, "--port", port+"/"+q.Protocol)
}

// askWhy asks one node.
func (t target) askWhy(ctx context.Context, node string, q api.WhyQuery) (api.Why, error) {
	if t.local != nil {
		why, err := t.local.Why(ctx, q)
		return why, explainLocal(err)
	}
	at := slices.IndexFunc(t.agents, func(a agents.Agent) bool { return a.Node == node })
	if at < 0 {
		return api.Why{}, fmt.Errorf("node %s is not among those asked", node)
	}
	items, err := askRemote[api.Why](ctx, t.cluster, t.agents[at], whyCommandLine(q))
	if err != nil {
		return api.Why{}, fmt.Errorf("node %s: %w", node, err)
	}
	if len(items) != 1 {
		return api.Why{}, fmt.Errorf("node %s gave %d answers, want 1", node, len(items))
	}
	return items[0], nil
}

// explain asks all questions and shows the answers.
func (a *app) explain(ctx context.Context, t target, questions []question, partial bool) error {
	var all Answer[WhyAnswer]
	for _, q := range questions {
		answer := WhyAnswer{From: q.from.name, To: q.to.name}
		for _, node := range q.nodes {
			why, err := t.askWhy(ctx, node, q.query)
			if err != nil {
				all.Failed = append(all.Failed, Failure{Node: node, Error: err.Error()})
				continue
			}
			answer.Answers = append(answer.Answers, why)
		}
		answer.Differences = differences(answer.Answers)
		all.Items = append(all.Items, answer)
	}
	if err := a.showWhy(all, questions); err != nil {
		return err
	}
	for _, f := range all.Failed {
		a.complain(f.Error)
	}
	differ := slices.ContainsFunc(all.Items, func(w WhyAnswer) bool { return len(w.Differences) > 0 })
	if partial || differ || len(all.Failed) > 0 {
		return errTold
	}
	return nil
}

// differences tells where the kernel or a node says something else.
func differences(answers []api.Why) []string {
	var list []string
	for _, why := range answers {
		for _, text := range why.Kernel.Differences {
			list = append(list, "node "+why.Node+": "+text)
		}
		if first := answers[0]; why.Verdict != first.Verdict {
			list = append(list, fmt.Sprintf("node %s says %s, node %s says %s", first.Node, first.Verdict, why.Node, why.Verdict))
		}
	}
	return list
}

func (a *app) showWhy(all Answer[WhyAnswer], questions []question) error {
	if a.output == "json" {
		return writeJSON(a.env.Stdout, all)
	}
	for n, w := range all.Items {
		if len(w.Answers) == 0 {
			continue
		}
		var out strings.Builder
		a.whyText(&out, w, questions[n].query)
		if err := a.print(strings.TrimSuffix(out.String(), "\n")); err != nil {
			return err
		}
	}
	return nil
}

func (a *app) whyText(out *strings.Builder, w WhyAnswer, q api.WhyQuery) {
	why := w.Answers[0]
	port := strings.ToUpper(q.Protocol)
	if q.Port != 0 {
		port += fmt.Sprintf(" port %d", q.Port)
	}
	fmt.Fprintf(out, "%s %s -> %s, %s\n", table.Paint(why.Verdict, verdictColours[why.Verdict], a.env.Colour),
		whyEndText(w.From, why.From), whyEndText(w.To, why.To), port)
	a.directionText(out, "egress of "+w.From, why.Egress)
	a.directionText(out, "ingress of "+w.To, why.Ingress)
	for n, answer := range w.Answers {
		role := "judges"
		if n > 0 {
			role = "was asked too"
		}
		fmt.Fprintf(out, "node %s %s: its kernel's maps say %s (policy revision %d)\n",
			answer.Node, role, answer.Kernel.Verdict, answer.Kernel.Revision)
	}
	for _, text := range w.Differences {
		fmt.Fprintln(out, table.Paint("DIFFERENCE: "+table.Clean(text), table.Red, a.env.Colour))
	}
}

func whyEndText(name string, end api.WhyEnd) string {
	parts := []string{}
	if end.IdentityName != "" {
		parts = append(parts, end.IdentityName)
	} else {
		parts = append(parts, "identity "+end.Identity.String())
	}
	if len(end.Labels) > 0 {
		parts = append(parts, labelText(end.Labels))
	}
	return table.Clean(fmt.Sprintf("%s (%s)", name, strings.Join(parts, ", ")))
}

func (a *app) directionText(out *strings.Builder, title string, d api.WhyDirection) {
	verdict := table.Paint("admitted", table.Green, a.env.Colour)
	if !d.Admitted {
		verdict = table.Paint("denied", table.Red, a.env.Colour)
	}
	fmt.Fprintf(out, "  %s: %s: %s\n", table.Clean(title), verdict, table.Clean(d.Text))
	for _, p := range d.Policies {
		if !p.Isolates {
			fmt.Fprintf(out, "    %s/%s does not select it: it %s\n", p.Namespace, p.Name, table.Clean(p.Because))
			continue
		}
		fmt.Fprintf(out, "    %s/%s isolates it%s\n", p.Namespace, p.Name, ruleCount(p))
		for _, r := range p.Rules {
			mark, because := "admits", ""
			if !r.Admits {
				mark, because = "does not admit", ": "+strings.Join(r.Misses, "; ")
			}
			fmt.Fprintf(out, "      rule %d, %s: %s%s\n", r.Index, table.Clean(r.Text), mark, table.Clean(because))
		}
	}
}

func ruleCount(p api.WhyPolicy) string {
	switch {
	case p.Because != "":
		return ", and admits nothing: it " + table.Clean(p.Because)
	case len(p.Rules) == 0:
		return ", and has no rule that admits anything"
	}
	return ""
}
