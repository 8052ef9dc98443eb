package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/signet-cni/signet/enforce/policy"
	"github.com/signet-cni/signet/identity"
	"github.com/signet-cni/signet/internal/api"
	"github.com/signet-cni/signet/internal/cli/table"
	"github.com/signet-cni/signet/internal/kube"
)

// previewFlags are the flags of "policy preview".
type previewFlags struct {
	file, namespace string
	remove          bool
}

func (a *app) previewCommand() *cobra.Command {
	var f previewFlags
	cmd := &cobra.Command{
		Use: "preview", Short: "Show which flows seen lately a new or changed policy would decide otherwise", Args: noArgs,
		Long: `Show which flows seen lately a new or changed policy would decide otherwise.

The flows that the nodes remember are judged twice, by the policies in force and
by the same ones with those of the manifest in place of their namesakes. Nothing
is changed.`,
		Example: `  signet policy preview -f policy.yaml
  signet policy preview -f policy.yaml --delete       what if it were gone?
  kubectl get networkpolicy -n concert -o yaml | signet policy preview -f -`,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.preview(cmd.Context(), f) },
	}
	flags := cmd.Flags()
	flags.StringVarP(&f.file, "filename", "f", "", "manifest with NetworkPolicies; - for standard input")
	flags.StringVarP(&f.namespace, "namespace", "n", "default", "namespace of policies that name none")
	flags.BoolVar(&f.remove, "delete", false, "take the manifest's policies away")
	a.outputFlag(cmd, "text", "json")
	return cmd
}

// Change is a kind of flow whose verdict would change.
type Change struct {
	From     string   `json:"from"`
	To       string   `json:"to"`
	Protocol string   `json:"protocol"`
	Port     uint16   `json:"port,omitempty"`
	Before   string   `json:"before"`
	After    string   `json:"after"`
	Flows    int      `json:"flows"` // how many were seen
	Because  []string `json:"because,omitempty"`
}

func (a *app) preview(ctx context.Context, f previewFlags) error {
	if f.file == "" {
		return usageError{errors.New("--filename is required")}
	}
	manifest, err := a.readFile(f.file)
	if err != nil {
		return err
	}
	wanted, problems, err := kube.ParsePolicies(manifest, f.namespace)
	if err != nil {
		return err
	}
	for _, p := range problems {
		a.complain(p.String())
	}
	t, err := a.target(ctx)
	if err != nil {
		return err
	}
	p, failed, err := a.observe(ctx, t)
	if err != nil {
		return err
	}
	changes := p.changes(wanted, f.remove)
	if a.output == "json" {
		err = writeJSON(a.env.Stdout, Answer[Change]{Items: changes, Failed: failed})
	} else {
		err = a.showChanges(changes, len(p.flows))
	}
	if err != nil {
		return err
	}
	return a.tellFailed(failed, len(t.agents))
}

func (a *app) readFile(path string) ([]byte, error) {
	if path == "-" {
		return io.ReadAll(a.env.Stdin)
	}
	return os.ReadFile(path)
}

// observed is what the cluster enforces, and what was seen in it.
type observed struct {
	sets     map[identity.ID]identity.Set
	policies []policy.Policy
	flows    []api.Flow
}

func newObserved(known []api.Identity, inForce []api.PolicyStatus) *observed {
	p := &observed{sets: map[identity.ID]identity.Set{}}
	for _, i := range known {
		p.sets[i.ID] = i.Set()
	}
	for _, status := range inForce {
		p.policies = append(p.policies, status.Source)
	}
	return p
}

// observe asks all nodes. Those that fail are missing from the flows.
func (a *app) observe(ctx context.Context, t target) (*observed, []Failure, error) {
	known, err := identities(ctx, t)
	if err != nil {
		return nil, nil, err
	}
	inForce, err := policies(ctx, t)
	if err != nil {
		return nil, nil, err
	}
	p := newObserved(known.Items, mergePolicies(inForce.Items))
	names := &podNames{target: t, now: a.env.Now}
	if err := names.fetch(ctx); err != nil {
		return nil, nil, err
	}
	flows, failed, err := t.pastFlows(ctx)
	for n := range flows {
		names.complete(&flows[n])
	}
	p.flows = flows
	return p, failed, err
}

// pastFlows gives all flows that the nodes remember and that policy judged.
func (t target) pastFlows(ctx context.Context) ([]api.Flow, []Failure, error) {
	var flows []api.Flow
	take := func(r api.Record) error {
		if r.Flow != nil && (r.Verdict == api.Admitted || r.Verdict == api.Audited || strings.HasPrefix(r.Reason, "policy-")) {
			flows = append(flows, *r.Flow)
		}
		return nil
	}
	if t.local != nil {
		err := t.local.Flows(ctx, api.All, take)
		return flows, nil, explainLocal(err)
	}
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	var failed []Failure
	for r := range t.streams(ctx, &flowFlags{Query: api.All}) {
		if r.failed != nil {
			failed = append(failed, Failure{Node: r.node, Error: r.failed.Error()})
		}
		_ = take(r.Record) // never fails
	}
	return flows, failed, nil
}

// changes judges all flows twice.
func (p *observed) changes(wanted []policy.Policy, remove bool) []Change {
	kept := slices.DeleteFunc(slices.Clone(p.policies), func(old policy.Policy) bool {
		return slices.ContainsFunc(wanted, func(w policy.Policy) bool { return w.Namespace == old.Namespace && w.Name == old.Name })
	})
	if !remove {
		kept = append(kept, wanted...)
	}
	before, after := policy.Compile(p.sets, p.policies).Explain, policy.Compile(p.sets, kept).Explain
	list := []Change{}
	at := map[string]int{}
	for n := range p.flows {
		f := &p.flows[n]
		q, ok := flowQuery(f)
		if !ok {
			continue
		}
		was, is := before.Why(q), after.Why(q)
		change := Change{
			From: endText(&f.Src, "ICMP", false), To: endText(&f.Dst, "ICMP", false), Protocol: f.Protocol, Port: q.Port,
			Before: whyVerdict(was), After: whyVerdict(is), Because: because(is),
		}
		if change.Before == change.After {
			continue
		}
		key := fmt.Sprint(change.From, change.To, change.Protocol, change.Port)
		if _, seen := at[key]; !seen {
			at[key] = len(list)
			list = append(list, change)
		}
		list[at[key]].Flows++
	}
	slices.SortStableFunc(list, func(x, y Change) int { return cmp.Compare(y.Flows, x.Flows) })
	return list
}

// flowQuery is the packet that opened a flow, if the flow tells it all.
func flowQuery(f *api.Flow) (policy.Query, bool) {
	number, known := api.ProtocolNumbers[strings.ToLower(f.Protocol)]
	q := policy.Query{
		Src: f.Src.Identity, Dst: f.Dst.Identity, SrcAddr: f.Src.Addr, DstAddr: f.Dst.Addr, Protocol: number,
	}
	if q.HasPort = number != api.ProtocolNumbers["icmp"]; q.HasPort {
		q.Port = f.Dst.Port
	}
	for _, name := range f.DstPortNames {
		q.DstNames = append(q.DstNames, policy.NameIDOf(name))
	}
	return q, known && q.Src != identity.Unknown && q.Dst != identity.Unknown
}

func whyVerdict(whys [2]policy.Why) string {
	if whys[policy.Ingress].Outcome.Admitted() && whys[policy.Egress].Outcome.Admitted() {
		return api.Admitted
	}
	return api.Dropped
}

// because names what decides: the rules that admit, or the policies that
// isolate.
func because(whys [2]policy.Why) (names []string) {
	for _, why := range whys {
		for _, rule := range why.Admitting {
			names = append(names, rule.String())
		}
		if why.Outcome != policy.DeniedByPolicy {
			continue
		}
		for _, i := range why.Isolating {
			names = append(names, "isolated by "+i.Policy.String())
		}
	}
	return names
}

func (a *app) showChanges(changes []Change, seen int) error {
	t := table.New("NOW", "THEN", "FROM", "TO", "PROTOCOL", "PORT", "FLOWS", "BECAUSE")
	for _, c := range changes {
		port := ""
		if c.Port != 0 {
			port = fmt.Sprint(c.Port)
		}
		t.Add(table.Cell{Text: c.Before, Colour: verdictColours[c.Before]}, table.Cell{Text: c.After, Colour: verdictColours[c.After]},
			c.From, c.To, c.Protocol, port, c.Flows, strings.Join(c.Because, ", "))
	}
	if len(changes) > 0 {
		if err := t.Write(a.env.Stdout, a.env.Colour); err != nil {
			return err
		}
	}
	return a.print(fmt.Sprintf("%s of %s seen would change", count(len(changes), "kind", "kinds"), count(seen, "flow", "flows")))
}
