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
func (r *Result) Why(q Query) [2]Why {
	r.Explain.mu.RLock()
	defer r.Explain.mu.RUnlock()
	verdict := r.Table.Admits(q)
	whys := [2]Why{
		Ingress: {Outcome: verdict.Ingress, Isolating: r.Explain.isolating(q.Dst, Ingress)},
		Egress:  {Outcome: verdict.Egress, Isolating: r.Explain.isolating(q.Src, Egress)},
	}
	if verdict.Egress == DeniedUnknown {
		return whys
	}
	for direction := range whys {
		whys[direction].Admitting = r.Explain.admitting(q, Direction(direction))
	}
	if q.Src == identity.Host {
		whys[Ingress].Outcome = AdmittedHost
	}
	if q.SrcAddr.IsValid() && q.SrcAddr == q.DstAddr {
		whys[Ingress].Outcome, whys[Egress].Outcome = AdmittedSelf, AdmittedSelf
	}
	return whys
}

func (e *Explain) admitting(q Query, direction Direction) []RuleRef {
	var out []RuleRef
	for _, s := range e.selections(q, direction) {
		if !s.sure {
			continue
		}
		for _, r := range s.policy.rules[direction] {
			if r.ports.admit(q) && slices.ContainsFunc(r.peers, e.peerOf(q, direction)) {
				out = append(out, r.ref)
			}
		}
	}
	return out
}

// selections gives the policies that isolate the subject of a packet.
func (e *Explain) selections(q Query, direction Direction) []selection {
	id := q.Dst
	if direction == Egress {
		id = q.Src
	}
	s, known := e.subjects[id]
	if !known {
		return nil
	}
	return s.groups[direction].selections
}

// peerOf gives a test whether a peer of a rule is the packet's other end.
func (e *Explain) peerOf(q Query, direction Direction) func(*peer) bool {
	id, addr := q.Src, q.SrcAddr
	if direction == Egress {
		id, addr = q.Dst, q.DstAddr
	}
	s, isPod := e.subjects[id]
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
