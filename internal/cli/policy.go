package cli

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/signet-cni/signet/identity"
	"github.com/signet-cni/signet/internal/api"
)

func (a *app) policyCommand() *cobra.Command {
	return group("policy", "policies", "See what NetworkPolicies do and why", a.policyListCommand(), a.whyCommand(), a.previewCommand(), a.askWhyCommand())
}

// whyFlags are the flags of "policy why".
type whyFlags struct{ from, to, port string }

func (a *app) whyCommand() *cobra.Command {
	var f whyFlags
	cmd := &cobra.Command{
		Use: "why", Short: "Explain whether one pod may reach another, by which policy and rule", Args: noArgs,
		Long: `Explain whether one pod may reach another, by which policy and rule.

The nodes concerned answer from the very rules that they compiled for their
kernel, and look the same packet up in their kernel's maps. Where the two, or
two nodes, come to different verdicts, the differences are shown and the exit
code is 1. The exit code does not tell the verdict: see -o json for that.`,
		Example: `  signet policy why --from concert/security --to concert/vip --port 80
  signet policy why --from concert/vip --to 192.0.2.7 --port 443/tcp
  signet policy why --from concert/stranger --to service/concert/vip --port 80
  signet policy why --from 192.0.2.7 --to concert/vip --port icmp -o json`,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.why(cmd.Context(), f) },
	}
	flags := cmd.Flags()
	flags.StringVar(&f.from, "from", "", "who opens the connection: NAMESPACE/POD or an address")
	flags.StringVar(&f.to, "to", "", "towards whom: NAMESPACE/POD, an address, or service/NAMESPACE/NAME")
	flags.StringVar(&f.port, "port", "", "destination port: 80, 80/tcp, 53/udp, 9/sctp or icmp")
	a.outputFlag(cmd, "text", "json")
	return cmd
}

// party is one end of the question.
type party struct {
	addr  netip.Addr
	other netip.Addr  // of the other family, if addr was not asked for; perhaps invalid
	id    identity.ID // Unknown: no pod
	name  string
	node  string // of a pod; "": no pod
}

// question is a packet, and the nodes that have a say in it: the first one
// judges.
type question struct {
	from, to party
	query    api.WhyQuery
	nodes    []string
}

func (a *app) why(ctx context.Context, f whyFlags) error {
	if f.from == "" || f.to == "" || f.port == "" {
		return usageError{errors.New("--from, --to and --port are required")}
	}
	protocol, port, err := api.ParsePort(f.port)
	if err != nil {
		return usageError{err}
	}
	t, err := a.target(ctx)
	if err != nil {
		return err
	}
	known, err := endpoints(ctx, t)
	if err != nil {
		return err
	}
	if err := a.tellFailed(known.Failed, len(t.agents)); err != nil && len(known.Items) == 0 {
		return err
	}
	from, err := findParty(known.Items, f.from)
	if err != nil {
		return err
	}
	query := api.WhyQuery{From: from.addr, FromID: from.id, Protocol: protocol, Port: port}
	questions, err := a.questions(ctx, t, known.Items, f.to, from, query)
	if err != nil {
		return err
	}
	return a.explain(ctx, t, questions, len(known.Failed) > 0)
}

// questions gives one for each end that "to" stands for.
func (a *app) questions(ctx context.Context, t target, pods []api.Endpoint, to string, from party, query api.WhyQuery) ([]question, error) {
	var list []question
	add := func(p party, port uint16) {
		from, p := inOneFamily(from, p)
		q := question{from: from, to: p, query: query}
		q.query.From, q.query.To, q.query.ToID, q.query.Port = from.addr, p.addr, p.id, port
		for _, node := range []string{p.node, from.node} {
			if node != "" && !slices.Contains(q.nodes, node) {
				q.nodes = append(q.nodes, node)
			}
		}
		list = append(list, q)
	}
	name, isService := strings.CutPrefix(to, "service/")
	if !isService {
		p, err := findParty(pods, to)
		if err != nil {
			return nil, err
		}
		add(p, query.Port)
		return list, checkNodes(list)
	}
	service, err := findService(ctx, t, name, query)
	if err != nil {
		return nil, err
	}
	for _, backend := range service.Backends {
		p, err := findParty(pods, backend.Addr().String())
		if err != nil {
			return nil, err
		}
		p.name += " behind " + to
		add(p, backend.Port())
	}
	return list, checkNodes(list)
}

// inOneFamily lets a pod that was asked for by name speak the other's family.
func inOneFamily(a, b party) (party, party) {
	switch {
	case a.addr.Is4() == b.addr.Is4():
	case a.other.IsValid():
		a.addr, a.other = a.other, a.addr
	case b.other.IsValid():
		b.addr, b.other = b.other, b.addr
	}
	return a, b
}

// checkNodes makes sure that there is something to ask, and somebody to be asked.
func checkNodes(list []question) error {
	for _, q := range list {
		if q.from.addr.Is4() != q.to.addr.Is4() {
			return fmt.Errorf("%s and %s have no addresses of one family", q.from.name, q.to.name)
		}
		if len(q.nodes) == 0 {
			return errors.New("neither end is a pod: Signet judges what pods send and receive")
		}
	}
	return nil
}

// findParty finds a pod by name or address; another address stands for itself.
func findParty(pods []api.Endpoint, text string) (party, error) {
	addr, err := netip.ParseAddr(text)
	isAddr := err == nil
	at := slices.IndexFunc(pods, func(e api.Endpoint) bool {
		return isAddr && slices.Contains(e.Addrs(), addr) || !isAddr && e.Namespace+"/"+e.Pod == text
	})
	switch {
	case at >= 0:
		e := pods[at]
		p := party{addr: e.Addr, other: e.Addr6, id: e.Identity, name: e.Namespace + "/" + e.Pod, node: e.Node}
		if isAddr {
			p.addr, p.other = addr, netip.Addr{}
		}
		return p, nil
	case isAddr:
		return party{addr: addr, name: text}, nil
	case !strings.Contains(text, "/"):
		return party{}, usageError{fmt.Errorf("%q: want NAMESPACE/POD or an address", text)}
	}
	return party{}, fmt.Errorf("no pod %s: \"signet endpoint list\" shows those there are", text)
}

// findService finds the port of a Service that a query means.
func findService(ctx context.Context, t target, name string, query api.WhyQuery) (api.Service, error) {
	services, err := t.services(ctx)
	if err != nil {
		return api.Service{}, err
	}
	var ports []string
	for _, s := range services {
		if s.Namespace+"/"+s.Name != name {
			continue
		}
		for _, f := range s.Frontends {
			ports = append(ports, fmt.Sprintf("%d/%s", f.Port(), s.Protocol))
			if f.Port() == query.Port && s.Protocol == query.Protocol {
				if len(s.Backends) == 0 {
					return s, fmt.Errorf("service %s has no ready backend: a connection is refused, whatever policies say", name)
				}
				return s, nil
			}
		}
	}
	if len(ports) == 0 {
		return api.Service{}, fmt.Errorf("no Service %s with a cluster IP: see \"kubectl get services -A\"", name)
	}
	return api.Service{}, fmt.Errorf("service %s has no port %d/%s: it has %s", name, query.Port, query.Protocol, strings.Join(ports, ", "))
}
