package main

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"github.com/signet-cni/signet/enforce/datapath"
	"github.com/signet-cni/signet/enforce/policy"
	"github.com/signet-cni/signet/identity"
	"github.com/signet-cni/signet/internal/api"
)

// whyKernel is what an explanation is checked against (datapath.Datapath).
type whyKernel interface {
	KernelTable(*policy.Query) (*policy.Table, error)
	KernelIdentity(netip.Addr) (identity.ID, error)
	Place(netip.Addr) (datapath.LocationKind, error)
	PortNames(netip.AddrPort, policy.Protocol) []policy.NameID
	Revision() uint32
}

// explainer answers why, from the policy that was compiled last and from the
// kernel's maps, each on its own.
type explainer struct {
	node    string
	kernel  whyKernel
	explain *policy.Explain
	sets    map[identity.ID]identity.Set
}

var errNotStarted = errors.New("the agent has not started yet: see \"signet status\"")

// Why gives this node's verdict on a packet.
func (s *status) Why(q api.WhyQuery) (api.Why, error) {
	if s.startProblem() != nil {
		return api.Why{}, errNotStarted
	}
	inForce := s.agent.rules.history.all()
	if len(inForce) == 0 {
		return api.Why{}, errors.New("no policy is loaded yet: nothing passes")
	}
	e := explainer{node: s.agent.cfg.nodeName, kernel: s.agent.datapath, explain: inForce[0], sets: s.agent.rules.snapshot()}
	return e.why(q)
}

func (e *explainer) why(q api.WhyQuery) (api.Why, error) {
	from, fromErr := e.end(q.From, q.FromID)
	to, toErr := e.end(q.To, q.ToID)
	if err := errors.Join(fromErr, toErr); err != nil {
		return api.Why{}, err
	}
	packet := policy.Query{
		Src: from.Identity, Dst: to.Identity, SrcAddr: q.From, DstAddr: q.To,
		Protocol: api.ProtocolNumbers[q.Protocol], Port: q.Port, HasPort: q.Port != 0,
	}
	packet.DstNames = e.kernel.PortNames(netip.AddrPortFrom(q.To, q.Port), policy.Protocol(packet.Protocol))
	whys := e.explain.Why(packet)
	why := api.Why{
		Node: e.node, Revision: e.kernel.Revision(), From: from, To: to, Verdict: verdictOf(packet, outcomesOf(whys), e.explain.Entry),
		Egress: e.direction(packet, policy.Egress, whys), Ingress: e.direction(packet, policy.Ingress, whys),
	}
	kernel, err := e.check(packet, whys, why.Verdict)
	why.Kernel = kernel
	return why, err
}

// end finds out who has an address, unless the caller knows.
func (e *explainer) end(addr netip.Addr, id identity.ID) (api.WhyEnd, error) {
	end := api.WhyEnd{Addr: addr, Identity: id}
	local, err := e.kernel.KernelIdentity(addr)
	if err != nil {
		return end, err
	}
	end.Local = local != identity.Unknown
	if end.Local {
		end.Identity = local
	}
	if end.Identity == identity.Unknown {
		if end.Identity, err = e.place(addr); err != nil {
			return end, err
		}
	}
	end.IdentityName = end.Identity.Name()
	if set, ok := e.sets[end.Identity]; ok {
		end.Namespace, end.Labels = set.Namespace, set.PodLabels
	}
	return end, nil
}

func (e *explainer) place(addr netip.Addr) (identity.ID, error) {
	kind, err := e.kernel.Place(addr)
	if err != nil {
		return identity.Unknown, err
	}
	switch kind {
	case datapath.LocalHost:
		return identity.Host, nil
	case datapath.RemoteHost:
		return identity.RemoteNode, nil
	case datapath.LocalPods, datapath.RemotePods, datapath.ClusterPods:
		return identity.Unknown, fmt.Errorf("address %s is in the cluster's pod range, and no pod is known to have it: "+
			"\"signet endpoint list\" shows those there are", addr)
	}
	return identity.World, nil
}

func outcomesOf(whys [2]policy.Why) (outcomes [2]policy.Outcome) {
	for direction, why := range whys {
		outcomes[direction] = why.Outcome
	}
	return outcomes
}

// verdictOf sums up both directions.
func verdictOf(q policy.Query, outcomes [2]policy.Outcome, entry func(identity.ID) (policy.Entry, bool)) string {
	verdict := api.Admitted
	for direction, subject := range [...]identity.ID{policy.Ingress: q.Dst, policy.Egress: q.Src} {
		of, _ := entry(subject)
		switch outcome := outcomes[direction]; {
		case outcome.Admitted():
		case outcome == policy.DeniedByPolicy && of.Audit:
			verdict = api.Audited
		default:
			return api.Dropped
		}
	}
	return verdict
}

func (e *explainer) direction(q policy.Query, direction policy.Direction, whys [2]policy.Why) api.WhyDirection {
	why := whys[direction]
	out := api.WhyDirection{Admitted: why.Outcome.Admitted(), Text: outcomeText(why)}
	for _, b := range e.explain.Bearings(q, direction, e.sets) {
		p := api.WhyPolicy{Namespace: b.Policy.Namespace, Name: b.Policy.Name, Isolates: b.Isolates, Because: b.Because}
		for _, r := range b.Rules {
			p.Rules = append(p.Rules, api.WhyRule{Index: r.Rule.Index, Text: r.Text, Admits: r.Admits, Misses: r.Misses})
		}
		out.Policies = append(out.Policies, p)
	}
	return out
}

func outcomeText(why policy.Why) string {
	var names []string
	switch why.Outcome {
	case policy.NotSubject:
		return "no policy isolates it"
	case policy.AdmittedSelf:
		return "a pod always reaches itself"
	case policy.AdmittedHost:
		return "a node always reaches its own pods"
	case policy.AdmittedClass, policy.AdmittedBlock:
		for _, rule := range why.Admitting {
			names = append(names, rule.String())
		}
		return "admitted by " + strings.Join(names, ", ")
	case policy.DeniedByPolicy:
		for _, i := range why.Isolating {
			names = append(names, i.Policy.String())
		}
		return "isolated by " + strings.Join(names, ", ") + ", and no rule admits it"
	}
	return "an identity that the node does not know"
}

// check puts the same packet to the kernel's maps.
func (e *explainer) check(q policy.Query, compiled [2]policy.Why, verdict string) (api.Kernel, error) {
	inKernel := q
	table, err := e.kernel.KernelTable(&inKernel)
	if err != nil {
		return api.Kernel{}, err
	}
	outcomes := table.Outcomes(inKernel)
	entry := func(id identity.ID) (policy.Entry, bool) { found, known := table.Identities[id]; return found, known }
	k := api.Kernel{Verdict: verdictOf(inKernel, outcomes, entry), Revision: e.kernel.Revision()}
	differ := func(format string, args ...any) { k.Differences = append(k.Differences, fmt.Sprintf(format, args...)) }
	if k.Verdict != verdict {
		differ("the kernel's maps say %s, the compiled policy says %s", k.Verdict, verdict)
	}
	for direction := range outcomes {
		if a, b := outcomes[direction].Admitted(), compiled[direction].Outcome.Admitted(); a != b {
			differ("%s: the kernel's maps admit it: %v, the compiled policy: %v", policy.Direction(direction), a, b)
		}
	}
	for _, id := range []identity.ID{q.Src, q.Dst} {
		in := table.Identities[id]
		if out, _ := e.explain.Entry(id); in != out {
			differ("identity %s: the kernel has %+v, the compiled policy %+v", id, in, out)
		}
	}
	return k, nil
}
