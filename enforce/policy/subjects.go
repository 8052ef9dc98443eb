package policy

import (
	"encoding/binary"

	"github.com/signet-cni/signet/identity"
)

// compiled is a policy in its normal form.
type compiled struct {
	ref      PolicyRef
	subjects identity.Selector
	isolates [2]bool   // by Direction
	rules    [2][]rule // by Direction; none where it does not isolate
}

// selection is a policy that selects an identity, or may. One that only may
// select it isolates it, but admits it nothing.
type selection struct {
	policy *compiled
	index  int
	sure   bool
}

// group is the identities with the same selections in one direction. Without
// any the rule set is nil: not isolated.
type group struct {
	selections []selection
	rules      *ruleSet
}

// grouper finds the policies that select identities, and unites their rules
// once per group. It depends on the policies alone.
type grouper struct {
	pool        *portPool
	byNamespace map[string][]*compiled
	groups      [2]map[string]*group
	ruleSets    map[digest]*ruleSet
}

func newGrouper(pool *portPool, policies []*compiled) *grouper {
	g := &grouper{
		pool:        pool,
		byNamespace: map[string][]*compiled{},
		groups:      [2]map[string]*group{{}, {}},
		ruleSets:    map[digest]*ruleSet{},
	}
	for _, p := range policies {
		g.byNamespace[p.ref.Namespace] = append(g.byNamespace[p.ref.Namespace], p)
	}
	return g
}

// find gives the set's groups by Direction.
func (g *grouper) find(set identity.Set) (groups [2]*group) {
	var selections [2][]selection
	for index, p := range g.byNamespace[set.Namespace] {
		match := p.subjects.MatchPods(set)
		if match == identity.No {
			continue
		}
		for direction, isolates := range p.isolates {
			if isolates {
				s := selection{policy: p, index: index, sure: match == identity.Yes}
				selections[direction] = append(selections[direction], s)
			}
		}
	}
	for direction := range groups {
		groups[direction] = g.group(Direction(direction), set.Namespace, selections[direction])
	}
	return groups
}

func (g *grouper) group(direction Direction, namespace string, selections []selection) *group {
	key := groupKey(namespace, selections)
	if known, ok := g.groups[direction][key]; ok {
		return known
	}
	made := &group{selections: selections}
	if len(selections) > 0 {
		made.rules = g.unite(direction, selections)
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
		known.merge(set)
		return known
	}
	g.ruleSets[set.digest] = set
	return set
}

func groupKey(namespace string, selections []selection) string {
	if len(selections) == 0 {
		return ""
	}
	key := append([]byte(namespace), 0)
	for _, s := range selections {
		key = binary.BigEndian.AppendUint32(key, uint32(s.index))
		if s.sure {
			key = append(key, 1)
		} else {
			key = append(key, 0)
		}
	}
	return string(key)
}
