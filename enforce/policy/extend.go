package policy

import (
	"maps"
	"slices"

	"github.com/signet-cni/signet/identity"
)

// Extend adds identities that the policy was not compiled over, at a cost that
// does not depend on how many it was: few identities come together, and those
// that were there before are not touched. Those of the namespaces that audit
// names are in audit mode (Table.Audit). It gives what the Table gains, and what
// Compile would have made of all of them in one.
//
// It reports false, and is not to be used again, if that would change what is
// there: the numbers of two contents collide. Compile then has to do it.
func (r *Result) Extend(ids map[identity.ID]identity.Set, audit func(namespace string) bool) (gain Table, ok bool) {
	r.Explain.mu.Lock()
	defer r.Explain.mu.Unlock()
	x := &extension{builder: r.builder, gain: newTable(0)}
	x.classify(ids)
	if !x.numberNew() {
		return Table{}, false
	}
	x.layNew()
	if !x.addPortSets() {
		return Table{}, false
	}
	for id := range ids {
		if s, known := x.subjects[id]; known {
			x.gain.Identities[id] = x.entry(s)
		}
	}
	x.gain.Audit(ids, audit)
	for _, rules := range x.newRules {
		r.Explain.ruleSets[x.ruleSetID(rules)] = rules
	}
	for _, c := range x.newClasses {
		r.Explain.classes[x.classID(c)] = c
	}
	r.Table.join(&x.gain)
	return x.gain, true
}

// extension is one Extend in progress.
type extension struct {
	*builder
	gain       Table
	newClasses []*class
	newRules   []*ruleSet
	sets       map[*portSet]bool // of new rows
	rows       map[row]*portSet  // new
}

// classify finds classes and rule sets, and notes those that are new.
func (x *extension) classify(ids map[identity.ID]identity.Set) {
	classes, rules := len(x.classifier.classes), len(x.grouper.ruleSets)
	for _, id := range slices.Sorted(maps.Keys(ids)) {
		if !id.Reserved() {
			x.subjects[id] = subject{class: x.classifier.classify(ids[id]), groups: x.grouper.find(ids[id])}
		}
	}
	seen := map[any]bool{}
	for id := range ids {
		s, known := x.subjects[id]
		if !known {
			continue
		}
		if _, numbered := x.classNumbers[s.class.digest]; !numbered && !seen[s.class] && len(x.classifier.classes) > classes {
			seen[s.class] = true
			x.newClasses = append(x.newClasses, s.class)
		}
		for _, g := range s.groups {
			if g.rules == nil || seen[g.rules] || len(x.grouper.ruleSets) == rules {
				continue
			}
			if _, numbered := x.ruleSetNumbers[g.rules.digest]; !numbered {
				seen[g.rules] = true
				x.newRules = append(x.newRules, g.rules)
			}
		}
	}
}

// numberNew gives new classes and rule sets the numbers that Compile would.
func (x *extension) numberNew() bool {
	for _, c := range x.newClasses {
		if !x.assign(x.classNumbers, x.takenClasses, c.digest, uint64(ClassNonPod)+1) {
			return false
		}
	}
	for _, rules := range x.newRules {
		if !x.assign(x.ruleSetNumbers, x.takenRuleSets, rules.digest, uint64(NotIsolated)+1) {
			return false
		}
	}
	return true
}

func (x *extension) assign(numbers map[digest]uint64, taken map[uint64]bool, d digest, least uint64) bool {
	number := x.short(d)
	if number < least || taken[number] {
		return false
	}
	numbers[d], taken[number] = number, true
	return true
}

// layNew lays the rows of new classes in the old rule sets, and all rows of the
// new rule sets.
func (x *extension) layNew() {
	x.rows, x.sets = map[row]*portSet{}, map[*portSet]bool{}
	for _, c := range x.newClasses {
		for rules := range x.admitting(c) {
			if set, more := rules.classRow(x.pool, c); more {
				x.rows[row{rules, c}] = set
			}
		}
		for _, p := range c.peers {
			x.members[p] = append(x.members[p], c)
		}
	}
	for _, rules := range x.newRules {
		rules.classRows(x.pool, x.members, func(c *class, set *portSet) { x.rows[row{rules, c}] = set })
		x.indexRules(rules)
		for _, block := range rules.blocks {
			x.sets[block.ports] = true
		}
	}
	for _, set := range x.rows {
		x.sets[set] = true
	}
}

// admitting gives the old rule sets that name a peer of the class.
func (x *extension) admitting(c *class) map[*ruleSet]bool {
	found := map[*ruleSet]bool{}
	for _, p := range c.peers {
		for _, rules := range x.byPeer[p] {
			found[rules] = true
		}
	}
	return found
}

// addPortSets numbers new port sets, and turns all that is new into rows.
func (x *extension) addPortSets() bool {
	for set := range x.sets {
		if _, numbered := x.portSetNumbers[set.digest]; numbered {
			continue
		}
		if !x.assign(x.portSetNumbers, x.takenPortSets, set.digest, 1) {
			return false
		}
		x.gain.addPorts(x.ports(set).Set, set)
	}
	for at, set := range x.rows {
		x.gain.Rules[RuleKey{x.ruleSetID(at.rules), x.classID(at.class)}] = x.ports(set)
	}
	for _, rules := range x.newRules {
		x.addBlocks(&x.gain, rules)
	}
	return true
}

// classRow is one row of classRows, and whether there is one.
func (s *ruleSet) classRow(pool *portPool, c *class) (*portSet, bool) {
	anyPod := pool.union(s.ports(pool, scopeEverything), s.ports(pool, scopeAnyPod))
	set := anyPod
	for _, t := range s.terms {
		if slices.Contains(c.peers, t.peer) {
			set = pool.union(set, t.ports)
		}
	}
	return set, set != anyPod
}

// join adds rows of which t has none.
func (t *Table) join(gain *Table) {
	maps.Copy(t.Identities, gain.Identities)
	maps.Copy(t.Rules, gain.Rules)
	maps.Copy(t.CIDRs, gain.CIDRs)
	maps.Copy(t.Chunks, gain.Chunks)
	maps.Copy(t.Names, gain.Names)
}
