package policy

import (
	"maps"
	"slices"
	"strings"

	"github.com/signet-cni/signet/identity"
)

// Summary is one policy as it was compiled.
type Summary struct {
	Policy   PolicyRef
	Isolates [2]bool       // by Direction
	Selects  []identity.ID // of those compiled; one that only may be selected included
	Rules    []RuleText
	Problems []Problem
}

// RuleText is a rule in words.
type RuleText struct {
	Rule RuleRef
	Text string // whom it admits on which ports
}

// Summaries gives all policies, by namespace and name.
func (e *Explain) Summaries() []Summary {
	selects := map[PolicyRef]map[identity.ID]bool{}
	for id, s := range e.subjects.all {
		for _, group := range s.groups {
			for _, selection := range group.selections {
				ref := selection.policy.ref
				if selects[ref] == nil {
					selects[ref] = map[identity.ID]bool{}
				}
				selects[ref][id] = true
			}
		}
	}
	var out []Summary
	for _, namespace := range slices.Sorted(maps.Keys(e.policies)) {
		for _, p := range e.policies[namespace] {
			s := Summary{Policy: p.ref, Isolates: p.isolates, Selects: slices.Sorted(maps.Keys(selects[p.ref])), Problems: p.problems}
			for direction, rules := range p.rules {
				for _, r := range rules {
					s.Rules = append(s.Rules, RuleText{Rule: r.ref, Text: r.text(Direction(direction))})
				}
			}
			out = append(out, s)
		}
	}
	return out
}

// text says whom a rule admits on which ports.
func (r rule) text(direction Direction) string {
	texts := make([]string, 0, len(r.peers))
	for _, p := range r.peers {
		texts = append(texts, p.String())
	}
	if len(texts) == 0 {
		return "nobody"
	}
	preposition := "from "
	if direction == Egress {
		preposition = "to "
	}
	return preposition + strings.Join(texts, " or ") + " on " + r.ports.String()
}
