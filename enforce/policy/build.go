package policy

import (
	"maps"
	"slices"

	"github.com/signet-cni/signet/identity"
)

// subject is what the policies make of one identity.
type subject struct {
	class  *class
	groups [2]*group // by Direction
}

// row names a class row before rule sets and classes have numbers.
type row struct {
	rules *ruleSet
	class *class
}

// builder numbers what was compiled and lays it out as a Table.
type builder struct {
	pool       *portPool
	classifier *classifier
	grouper    *grouper
	short      shorten
	subjects   map[identity.ID]subject
	classes    []*class
	ruleSets   map[digest]*ruleSet
	rows       map[row]*portSet
	policies   map[string][]*compiled // by namespace

	classNumbers   map[digest]uint64
	ruleSetNumbers map[digest]uint64
	portSetNumbers map[digest]uint64

	// For Extend: who matches a peer, which rule sets name it, and which
	// numbers are in use.
	members       map[*peer][]*class
	byPeer        map[*peer][]*ruleSet
	takenClasses  map[uint64]bool
	takenRuleSets map[uint64]bool
	takenPortSets map[uint64]bool
}

// settle drops what was needed to build the table, and prepares for Extend.
func (b *builder) settle() {
	b.rows, b.classes = nil, nil
	b.byPeer = map[*peer][]*ruleSet{}
	for _, rules := range b.ruleSets {
		b.indexRules(rules)
	}
	b.takenClasses, b.takenRuleSets, b.takenPortSets = inUse(b.classNumbers), inUse(b.ruleSetNumbers), inUse(b.portSetNumbers)
}

func (b *builder) indexRules(rules *ruleSet) {
	for _, t := range rules.terms {
		b.byPeer[t.peer] = append(b.byPeer[t.peer], rules)
	}
}

func inUse(numbers map[digest]uint64) map[uint64]bool {
	taken := make(map[uint64]bool, len(numbers))
	for _, number := range numbers {
		taken[number] = true
	}
	return taken
}

func newTable(rows int) Table {
	return Table{
		Identities: map[identity.ID]Entry{},
		Rules:      make(map[RuleKey]Ports, rows),
		CIDRs:      map[CIDRKey]Ports{},
		Chunks:     map[ChunkKey]Chunk{},
		Names:      map[NameKey]struct{}{},
	}
}

func (b *builder) build() Table {
	b.layRows()
	b.number()
	table := newTable(len(b.rows))
	table.Identities = b.entries()
	for at, set := range b.rows {
		table.Rules[RuleKey{b.ruleSetID(at.rules), b.classID(at.class)}] = b.ports(set)
	}
	for _, rules := range b.ruleSets {
		b.addBlocks(&table, rules)
	}
	for set := range b.portSets() {
		table.addPorts(b.ports(set).Set, set)
	}
	return table
}

func (b *builder) addBlocks(table *Table, rules *ruleSet) {
	for _, block := range rules.blocks {
		table.CIDRs[CIDRKey{b.ruleSetID(rules), block.prefix}] = b.ports(block.ports)
	}
}

func (b *builder) layRows() {
	b.members = map[*peer][]*class{}
	for _, c := range b.classes {
		for _, p := range c.peers {
			b.members[p] = append(b.members[p], c)
		}
	}
	for _, rules := range b.ruleSets {
		rules.classRows(b.pool, b.members, func(c *class, set *portSet) { b.rows[row{rules, c}] = set })
	}
}

// portSets gives the port sets that rows refer to.
func (b *builder) portSets() map[*portSet]bool {
	used := map[*portSet]bool{}
	for _, set := range b.rows {
		used[set] = true
	}
	for _, rules := range b.ruleSets {
		for _, block := range rules.blocks {
			used[block.ports] = true
		}
	}
	return used
}

func (b *builder) number() {
	classes := make([]digest, 0, len(b.classes))
	for _, c := range b.classes {
		classes = append(classes, c.digest)
	}
	used := b.portSets()
	sets := make([]digest, 0, len(used))
	for set := range used {
		sets = append(sets, set.digest)
	}
	b.classNumbers = assignNumbers(classes, uint64(ClassNonPod)+1, b.short)
	b.ruleSetNumbers = assignNumbers(slices.Collect(maps.Keys(b.ruleSets)), uint64(NotIsolated)+1, b.short)
	b.portSetNumbers = assignNumbers(sets, 1, b.short)
}

func (b *builder) classID(c *class) ClassID {
	switch c {
	case anyPodClass:
		return ClassAnyPod
	case nonPodClass:
		return ClassNonPod
	}
	return ClassID(b.classNumbers[c.digest])
}

func (b *builder) ruleSetID(rules *ruleSet) RuleSetID {
	if rules == nil {
		return NotIsolated
	}
	return RuleSetID(b.ruleSetNumbers[rules.digest])
}

func (b *builder) ports(set *portSet) Ports {
	return Ports{Set: PortSetID(b.portSetNumbers[set.digest]), Flags: set.flags()}
}

func (b *builder) entries() map[identity.ID]Entry {
	entries := make(map[identity.ID]Entry, len(b.subjects)+len(nonPods))
	for id, s := range b.subjects {
		entries[id] = b.entry(s)
	}
	for _, id := range nonPods {
		entries[id] = Entry{Class: ClassNonPod}
	}
	return entries
}

func (b *builder) entry(s subject) Entry {
	ingress, egress := s.groups[Ingress].rules, s.groups[Egress].rules
	return Entry{
		Class:        b.classID(s.class),
		Ingress:      b.ruleSetID(ingress),
		Egress:       b.ruleSetID(egress),
		IngressCIDRs: ingress != nil && len(ingress.blocks) > 0,
		EgressCIDRs:  egress != nil && len(egress.blocks) > 0,
	}
}

// addPorts adds the port numbers and names of a set.
func (t *Table) addPorts(id PortSetID, set *portSet) {
	for n, protocol := range protocols {
		chunks(set.of[n].ranges, func(chunk uint8, bits Chunk) {
			t.Chunks[ChunkKey{Set: id, Protocol: protocol, Chunk: chunk}] = bits
		})
		for _, name := range set.of[n].names {
			t.Names[NameKey{Set: id, Name: NameIDOf(name), Protocol: protocol}] = struct{}{}
		}
	}
}
