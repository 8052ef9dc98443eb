package policy

import (
	"maps"
	"slices"
)

// term is what a rule set admits one peer.
type term struct {
	peer  *peer
	ports *portSet
}

// ruleSet is the union of the rules that apply to a group of identities in one
// direction. Its digest, and with that its number, stands for the peers and
// what each is admitted, whichever policies say so.
type ruleSet struct {
	content
	terms  []*term // by peer key
	blocks []blockRow

	nonPod, anyPod *portSet // what it admits those without a row of their own

	groups int  // that it holds for
	listed bool // it has rows

	visit uint64 // of rowsOf, the last
}

// newRuleSet unites rules. Rules that admit nothing leave no trace.
func newRuleSet(pool *portPool, rules []rule) *ruleSet {
	terms := map[string]*term{}
	for _, r := range rules {
		if r.ports.empty() {
			continue
		}
		for _, p := range r.peers {
			t, ok := terms[p.key]
			if !ok {
				t = &term{peer: p, ports: pool.empty}
				terms[p.key] = t
			}
			t.ports = pool.union(t.ports, r.ports)
		}
	}
	set := &ruleSet{}
	text := make([]string, 0, 2*len(terms))
	for _, key := range slices.Sorted(maps.Keys(terms)) {
		set.terms = append(set.terms, terms[key])
		text = append(text, key, terms[key].ports.key)
	}
	set.digest = digestOf("rule set", text...)
	set.blocks = blockRows(pool, set.terms)
	set.nonPod = set.ports(pool, scopeEverything)
	set.anyPod = pool.union(set.nonPod, set.ports(pool, scopeAnyPod))
	return set
}

func (s *ruleSet) id() RuleSetID {
	if s == nil {
		return NotIsolated
	}
	return RuleSetID(s.number)
}

// ports unites the terms of one scope.
func (s *ruleSet) ports(pool *portPool, of scope) *portSet {
	sum := pool.empty
	for _, t := range s.terms {
		if t.peer.scope == of {
			sum = pool.union(sum, t.ports)
		}
	}
	return sum
}

// classRows calls add for each class row: of non-pods, of any pod, and of the
// members of each peer where they are admitted more than any pod.
func (s *ruleSet) classRows(pool *portPool, members map[*peer][]*class, add func(*class, *portSet)) {
	if !s.nonPod.empty() {
		add(nonPodClass, s.nonPod)
	}
	if !s.anyPod.empty() {
		add(anyPodClass, s.anyPod)
	}
	rows := map[*class]*portSet{}
	for _, t := range s.terms {
		for _, c := range members[t.peer] {
			row, ok := rows[c]
			if !ok {
				row = s.anyPod
			}
			rows[c] = pool.union(row, t.ports)
		}
	}
	for c, row := range rows {
		if row != s.anyPod {
			add(c, row)
		}
	}
}

// classRow is one row of classRows, and whether there is one.
func (s *ruleSet) classRow(pool *portPool, c *class) (*portSet, bool) {
	set := s.anyPod
	for _, t := range s.terms {
		if slices.Contains(c.peers, t.peer) {
			set = pool.union(set, t.ports)
		}
	}
	return set, set != s.anyPod
}
