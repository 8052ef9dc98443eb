package policy

import (
	"encoding/binary"

	"github.com/signet-cni/signet/identity"
)

// compiled is a policy in its normal form. It does not change.
type compiled struct {
	ref      PolicyRef
	serial   uint32 // tells it from all others, and from what it replaces
	subjects identity.Selector
	isolates [2]bool   // by Direction
	rules    [2][]rule // by Direction; none where it does not isolate
	problems []Problem
}

// peers calls visit for every peer that a rule names, as often as one does.
func (p *compiled) peers(visit func(*peer)) {
	for _, rules := range p.rules {
		for _, r := range rules {
			for _, named := range r.peers {
				visit(named)
			}
		}
	}
}

// selection is a policy that selects an identity, or may. One that only may
// select it isolates it, but admits it nothing.
type selection struct {
	policy *compiled
	sure   bool
}

// group is the identities with the same selections in one direction. Without
// any the rule set is nil: not isolated.
type group struct {
	key        string
	direction  Direction
	selections []selection
	rules      *ruleSet
	identities int // that are in it
}

// grouper finds the policies that select identities, and unites their rules
// once per group. It depends on the policies alone.
type grouper struct {
	pool     *portPool
	policies map[string][]*compiled // by namespace, in the order of names; lists and map are not written to
	groups   [2]map[string]*group
	ruleSets map[digest]*ruleSet
}

func newGrouper(pool *portPool) *grouper {
	return &grouper{pool: pool, groups: [2]map[string]*group{{}, {}}, ruleSets: map[digest]*ruleSet{}}
}

// find gives the set's groups by Direction.
func (g *grouper) find(set identity.Set) (groups [2]*group) {
	var selections [2][]selection
	for _, p := range g.policies[set.Namespace] {
		match := p.subjects.MatchPods(set)
		if match == identity.No {
			continue
		}
		for direction, isolates := range p.isolates {
			if isolates {
				selections[direction] = append(selections[direction], selection{policy: p, sure: match == identity.Yes})
			}
		}
	}
	for direction := range groups {
		groups[direction] = g.group(Direction(direction), selections[direction])
	}
	return groups
}

func (g *grouper) group(direction Direction, selections []selection) *group {
	key := groupKey(selections)
	if known, ok := g.groups[direction][key]; ok {
		return known
	}
	made := &group{key: key, direction: direction, selections: selections}
	if len(selections) > 0 {
		made.rules = g.unite(direction, selections)
		made.rules.groups++
	}
	g.groups[direction][key] = made
	return made
}

func (g *grouper) unite(direction Direction, selections []selection) *ruleSet {
	var rules []rule
	for _, s := range selections {
		if s.sure {
			rules = append(rules, s.policy.rules[direction]...)
		}
	}
	set := newRuleSet(g.pool, rules)
	if known, ok := g.ruleSets[set.digest]; ok {
		return known
	}
	g.ruleSets[set.digest] = set
	return set
}

// drop forgets a group that nobody is in any more.
func (g *grouper) drop(gone *group) {
	delete(g.groups[gone.direction], gone.key)
	if gone.rules != nil {
		gone.rules.groups--
	}
}

func groupKey(selections []selection) string {
	var key []byte
	for _, s := range selections {
		key = binary.BigEndian.AppendUint32(key, s.policy.serial)
		if s.sure {
			key = append(key, 1)
		} else {
			key = append(key, 0)
		}
	}
	return string(key)
}
