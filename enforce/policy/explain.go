package policy

import (
	"net/netip"
	"slices"
	"sync"

	"github.com/signet-cni/signet/identity"
)

// Explain answers why a Table says what it says. It refers to the compiled
// policies, grows with Result.Extend, and is safe for concurrent use.
type Explain struct {
	mu       sync.RWMutex // of the whole Result; exported methods take it
	subjects map[identity.ID]subject
	ruleSets map[RuleSetID]*ruleSet
	classes  map[ClassID]*class
	policies map[string][]*compiled // by namespace
}

// Isolation is a policy that isolates an identity.
type Isolation struct {
	Policy PolicyRef
	// Unclear: the identity leaves open whether the policy selects it, so that
	// the policy isolates it but admits it nothing.
	Unclear bool
}

func (b *builder) explain() *Explain {
	e := &Explain{
		subjects: b.subjects, ruleSets: map[RuleSetID]*ruleSet{}, classes: map[ClassID]*class{}, policies: b.policies,
	}
	for _, rules := range b.ruleSets {
		e.ruleSets[b.ruleSetID(rules)] = rules
	}
	for _, c := range b.classes {
		e.classes[b.classID(c)] = c
	}
	return e
}

// Isolating gives the policies that isolate an identity in a direction, by
// name; none where it is not isolated or not known.
func (e *Explain) Isolating(id identity.ID, direction Direction) []Isolation {
	e.mu.RLock()
	defer e.mu.RUnlock()
	return e.isolating(id, direction)
}

func (e *Explain) isolating(id identity.ID, direction Direction) []Isolation {
	s, ok := e.subjects[id]
	if !ok {
		return nil
	}
	var out []Isolation
	for _, selection := range s.groups[direction].selections {
		out = append(out, Isolation{Policy: selection.policy.ref, Unclear: !selection.sure})
	}
	return out
}

// RuleSet gives the rules that a rule set unites. Where policies of different
// subjects come to the same content they share the rule set, and all are given.
func (e *Explain) RuleSet(id RuleSetID) []RuleRef {
	return e.rules(id, func(*peer) bool { return true })
}

// Row gives the rules that admit a class on any port: those behind the row
// that holds for it, whether it has one of its own or falls back.
func (e *Explain) Row(key RuleKey) []RuleRef {
	e.mu.RLock()
	c := e.classes[key.Class]
	e.mu.RUnlock()
	return e.rules(key.RuleSet, func(p *peer) bool {
		switch p.scope {
		case scopeEverything:
			return true
		case scopeAnyPod:
			return key.Class != ClassNonPod
		case scopeSelected:
			return c != nil && slices.Contains(c.peers, p)
		}
		return false
	})
}

// Address gives the rules whose ipBlocks admit an address on any port.
func (e *Explain) Address(id RuleSetID, addr netip.Addr) []RuleRef {
	return e.rules(id, func(p *peer) bool { return p.scope == scopeBlock && p.covers(addr) })
}

// covers reports whether an address is in the block and in no exception.
func (p *peer) covers(addr netip.Addr) bool {
	return p.cidr.Contains(addr) &&
		!slices.ContainsFunc(p.except, func(except netip.Prefix) bool { return except.Contains(addr) })
}

// rules takes the lock.
func (e *Explain) rules(id RuleSetID, holds func(*peer) bool) []RuleRef {
	e.mu.RLock()
	defer e.mu.RUnlock()
	rules, ok := e.ruleSets[id]
	if !ok {
		return nil
	}
	var out []RuleRef
	for _, t := range rules.terms {
		if holds(t.peer) {
			out = append(out, t.by...)
		}
	}
	slices.SortFunc(out, RuleRef.compare)
	return slices.Compact(out)
}
