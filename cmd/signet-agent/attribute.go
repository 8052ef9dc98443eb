package main

import (
	"net/netip"
	"sync/atomic"

	"github.com/signet-cni/signet/enforce/datapath"
	"github.com/signet-cni/signet/enforce/policy"
	"github.com/signet-cni/signet/internal/api"
)

// remembered is how many policies are kept to explain verdicts: the one in
// force, and the one before, under which a verdict may have been made.
const remembered = 2

// history is the policies in force last, the newest first. It is safe for
// concurrent use.
type history struct {
	explains atomic.Pointer[[]*policy.Explain]
}

// add takes in what is in force from now on. There is one caller at a time.
func (h *history) add(e *policy.Explain) {
	next := append([]*policy.Explain{e}, h.all()...)
	next = next[:min(len(next), remembered)]
	h.explains.Store(&next)
}

// grow takes in the policy in force with more identities.
func (h *history) grow(e *policy.Explain) {
	next := append([]*policy.Explain{e}, h.all()[1:]...)
	h.explains.Store(&next)
}

func (h *history) all() []*policy.Explain {
	if list := h.explains.Load(); list != nil {
		return *list
	}
	return nil
}

// portNames gives the names that a pod of this node gives to one of its ports.
type portNames func(netip.AddrPort, policy.Protocol) []policy.NameID

// parts gives the policies that decided a verdict of this node; none if no
// policy did, or if none of those remembered comes to the same verdict.
func (h *history) parts(e datapath.Event, names portNames) []api.PolicyPart {
	direction, denied := deniedIn(e)
	if e.Verdict == datapath.Forwarded || e.Verdict == datapath.Dropped && !denied {
		return nil
	}
	// A flow that is judged again by an answer was judged in the direction in
	// which it was opened.
	for _, q := range []policy.Query{queryOf(e), turnedQueryOf(e)} {
		q.DstNames = names(netip.AddrPortFrom(q.DstAddr, q.Port), policy.Protocol(q.Protocol))
		for _, explain := range h.all() {
			whys := explain.Why(q)
			switch {
			case denied && whys[direction].Outcome == policy.DeniedByPolicy:
				return isolating(whys[direction], direction)
			case !denied && whys[policy.Ingress].Outcome.Admitted() && whys[policy.Egress].Outcome.Admitted():
				return append(admitting(whys[policy.Egress]), admitting(whys[policy.Ingress])...)
			}
		}
	}
	return nil
}

// deniedIn tells in which direction policy denied a packet, if it did.
func deniedIn(e datapath.Event) (direction policy.Direction, denied bool) {
	if e.Verdict != datapath.Dropped && e.Verdict != datapath.Audited {
		return 0, false
	}
	switch e.Reason {
	case datapath.PolicyEgress:
		return policy.Egress, true
	case datapath.PolicyIngress:
		return policy.Ingress, true
	}
	return 0, false
}

func queryOf(e datapath.Event) policy.Query {
	p := policy.Protocol(e.Protocol)
	return policy.Query{
		Src: e.SrcIdentity, Dst: e.DstIdentity, SrcAddr: e.Src.Addr(), DstAddr: e.Dst.Addr(),
		Protocol: e.Protocol, Port: e.Dst.Port(), HasPort: p == policy.TCP || p == policy.UDP || p == policy.SCTP,
	}
}

// turnedQueryOf is queryOf for the packet that opened the flow of an answer.
func turnedQueryOf(e datapath.Event) policy.Query {
	e.Src, e.Dst, e.SrcIdentity, e.DstIdentity = e.Dst, e.Src, e.DstIdentity, e.SrcIdentity
	return queryOf(e)
}

func isolating(why policy.Why, direction policy.Direction) []api.PolicyPart {
	var parts []api.PolicyPart
	for _, i := range why.Isolating {
		parts = append(parts, api.PolicyPart{
			Namespace: i.Policy.Namespace, Name: i.Policy.Name, Direction: direction.String(),
		})
	}
	return parts
}

// admitting gives one part a policy, with all its rules.
func admitting(why policy.Why) []api.PolicyPart {
	var parts []api.PolicyPart
	for _, rule := range why.Admitting {
		last := len(parts) - 1
		if last < 0 || parts[last].Namespace != rule.Policy.Namespace || parts[last].Name != rule.Policy.Name {
			parts = append(parts, api.PolicyPart{
				Namespace: rule.Policy.Namespace, Name: rule.Policy.Name, Direction: rule.Direction.String(),
			})
			last++
		}
		parts[last].Rules = append(parts[last].Rules, rule.Index)
	}
	return parts
}
