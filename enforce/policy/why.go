package policy

import (
	"slices"

	"github.com/signet-cni/signet/identity"
)

// Why is what a table decides of a packet in one direction, with everything
// that bears on it.
type Why struct {
	Outcome Outcome
	// Isolating are the policies that isolate the subject, which is the
	// destination for ingress and the source for egress. By name; none: it is
	// not isolated.
	Isolating []Isolation
	// Admitting are the rules of these policies that admit the packet, in the
	// order of the policies.
	Admitting []RuleRef
}

// Why explains both directions of a packet, by Direction. Beside the table it
// knows what the kernel's programs admit without asking it: a pod reaches
// itself, and the local node its pods.
func (e *Explain) Why(q Query) [2]Why {
	whys := [2]Why{
		Ingress: {Outcome: DeniedUnknown, Isolating: e.Isolating(q.Dst, Ingress)},
		Egress:  {Outcome: DeniedUnknown, Isolating: e.Isolating(q.Src, Egress)},
	}
	_, srcKnown := e.Entry(q.Src)
	_, dstKnown := e.Entry(q.Dst)
	if !srcKnown || !dstKnown {
		return whys
	}
	for direction := range whys {
		e.judge(&whys[direction], q, Direction(direction))
	}
	outcomes := withExceptions(q, [2]Outcome{whys[0].Outcome, whys[1].Outcome})
	for direction := range whys {
		whys[direction].Outcome = outcomes[direction]
	}
	return whys
}

// judge finds the rules that admit a packet, and what comes of them.
func (e *Explain) judge(why *Why, q Query, direction Direction) {
	if len(why.Isolating) == 0 {
		why.Outcome = NotSubject
		return
	}
	id, matches := q.Dst, e.peerOf(q, direction)
	if direction == Egress {
		id = q.Src
	}
	byClass := false
	for _, s := range e.selections(id, direction) {
		if !s.sure {
			continue
		}
		for _, r := range s.policy.rules[direction] {
			if r.ports.admit(q) && slices.ContainsFunc(r.peers, matches) {
				why.Admitting = append(why.Admitting, r.ref)
				byClass = byClass || slices.ContainsFunc(r.peers, func(p *peer) bool { return p.scope != scopeBlock && matches(p) })
			}
		}
	}
	switch {
	case byClass:
		why.Outcome = AdmittedClass
	case len(why.Admitting) > 0:
		why.Outcome = AdmittedBlock
	default:
		why.Outcome = DeniedByPolicy
	}
}

// withExceptions adds what the kernel's programs admit without asking the table.
func withExceptions(q Query, outcomes [2]Outcome) [2]Outcome {
	switch {
	case outcomes[Egress] == DeniedUnknown:
	case q.SrcAddr.IsValid() && q.SrcAddr == q.DstAddr:
		return [2]Outcome{AdmittedSelf, AdmittedSelf}
	case q.Src == identity.Host:
		outcomes[Ingress] = AdmittedHost
	}
	return outcomes
}

// peerOf gives a test whether a peer of a rule is the packet's other end.
func (e *Explain) peerOf(q Query, direction Direction) func(*peer) bool {
	id, addr := q.Src, q.SrcAddr
	if direction == Egress {
		id, addr = q.Dst, q.DstAddr
	}
	s, isPod := e.subjects.get(id)
	return func(p *peer) bool {
		switch p.scope {
		case scopeEverything:
			return true
		case scopeAnyPod:
			return isPod
		case scopeSelected:
			return isPod && slices.Contains(s.class.peers, p)
		case scopeBlock:
			return addr.IsValid() && p.covers(addr)
		}
		return false
	}
}

// admit reports whether the packet's protocol and port are in the set.
func (s *portSet) admit(q Query) bool {
	if s.everything {
		return true
	}
	n := slices.Index(protocols[:], Protocol(q.Protocol))
	if n < 0 {
		return false
	}
	ports := s.of[n]
	if ports.all || !q.HasPort {
		return ports.all
	}
	return slices.ContainsFunc(ports.ranges, func(r portRange) bool { return r.first <= q.Port && q.Port <= r.last }) ||
		slices.ContainsFunc(ports.names, func(name string) bool { return slices.Contains(q.DstNames, NameIDOf(name)) })
}
