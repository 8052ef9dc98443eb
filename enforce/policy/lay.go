package policy

import "slices"

// newRow is a class row before its port set has a number.
type newRow struct {
	rules *ruleSet
	class *class
	ports *portSet
}

// lay takes the rows out of classes and rule sets that are gone, and lays those
// of new ones. It reports false where a number is in the way.
func (c *change) lay() bool {
	for _, rules := range c.ruleSets.dead {
		rules.classRows(c.pool, c.members, func(x *class, ports *portSet) { c.drop(rules, x, ports) })
		for _, block := range rules.blocks {
			key := CIDRKey{rules.id(), block.prefix}
			c.delta.Gone.CIDRs[key] = block.ports.row()
			c.use(block.ports, -1)
		}
	}
	for _, x := range c.classes.dead {
		c.rowsOf(x, func(rules *ruleSet, ports *portSet) { c.drop(rules, x, ports) })
	}
	c.unlink()
	for _, x := range c.classes.born {
		c.rowsOf(x, func(rules *ruleSet, ports *portSet) { c.add(rules, x, ports) })
	}
	c.link()
	for _, rules := range c.ruleSets.born {
		rules.classRows(c.pool, c.members, func(x *class, ports *portSet) { c.add(rules, x, ports) })
		for _, block := range rules.blocks {
			c.use(block.ports, 1)
		}
	}
	return c.layPorts()
}

// rowsOf gives the rows of one class.
func (c *change) rowsOf(x *class, visit func(*ruleSet, *portSet)) {
	found := map[*ruleSet]struct{}{}
	for _, p := range x.peers {
		for _, rules := range c.naming[p] {
			found[rules] = struct{}{}
		}
	}
	for rules := range found {
		if ports, more := rules.classRow(c.pool, x); more {
			visit(rules, ports)
		}
	}
}

// drop takes a row out, once.
func (c *change) drop(rules *ruleSet, x *class, ports *portSet) {
	key := RuleKey{rules.id(), ClassID(x.number)}
	if _, gone := c.delta.Gone.Rules[key]; !gone {
		c.delta.Gone.Rules[key] = ports.row()
		c.use(ports, -1)
	}
}

func (c *change) add(rules *ruleSet, x *class, ports *portSet) {
	c.rows = append(c.rows, newRow{rules, x, ports})
	c.use(ports, 1)
}

func (c *change) use(ports *portSet, by int) {
	ports.uses += by
	c.ports[ports] = struct{}{}
}

// unlink forgets classes and rule sets that have no rows any more.
func (c *change) unlink() {
	peers := map[*peer]struct{}{}
	for _, x := range c.classes.dead {
		c.classifier.drop(x)
		for _, p := range x.peers {
			peers[p] = struct{}{}
		}
	}
	for p := range peers {
		keep(c.members, p, func(x *class) bool { return x.listed })
	}
	clear(peers)
	for _, rules := range c.ruleSets.dead {
		delete(c.grouper.ruleSets, rules.digest)
		for _, t := range rules.terms {
			peers[t.peer] = struct{}{}
		}
	}
	for p := range peers {
		keep(c.naming, p, func(rules *ruleSet) bool { return rules.listed })
	}
}

// keep drops the others of a peer's list, and a list that becomes empty.
func keep[T any](lists map[*peer][]*T, p *peer, wanted func(*T) bool) {
	lists[p] = slices.DeleteFunc(lists[p], func(x *T) bool { return !wanted(x) })
	if len(lists[p]) == 0 {
		delete(lists, p)
	}
}

func (c *change) link() {
	for _, x := range c.classes.born {
		for _, p := range x.peers {
			c.members[p] = append(c.members[p], x)
		}
	}
	for _, rules := range c.ruleSets.born {
		for _, t := range rules.terms {
			c.naming[t.peer] = append(c.naming[t.peer], rules)
		}
	}
}

// layPorts numbers the port sets that rows refer to from now on, and turns all
// that is new into rows.
func (c *change) layPorts() bool {
	var born []*content
	for set := range c.ports {
		if set.uses > 0 && set.number == 0 {
			born = append(born, &set.content)
		}
	}
	if !c.portSets.assign(born) {
		return false
	}
	if len(c.rows) > 0 {
		c.delta.Put.Rules = make(map[RuleKey]Ports, len(c.rows))
	}
	for _, row := range c.rows {
		c.delta.Put.Rules[RuleKey{row.rules.id(), ClassID(row.class.number)}] = row.ports.row()
	}
	for _, rules := range c.ruleSets.born {
		for _, block := range rules.blocks {
			c.delta.Put.CIDRs[CIDRKey{rules.id(), block.prefix}] = block.ports.row()
		}
	}
	return c.releaseNumbers()
}

// releaseNumbers forgets what has no rows any more, and adds the ports of what
// is new.
func (c *change) releaseNumbers() bool {
	ok := true
	for set := range c.ports {
		switch {
		case set.uses > 0 && !set.listed:
			set.listed = true
			c.delta.Put.addPorts(set)
		case set.uses == 0 && set.listed:
			set.listed = false
			c.delta.Gone.addPorts(set)
			ok = c.portSets.release(&set.content) && ok
		}
	}
	for _, x := range c.classes.dead {
		ok = c.state.classes.release(&x.content) && ok
	}
	for _, rules := range c.ruleSets.dead {
		ok = c.state.ruleSets.release(&rules.content) && ok
	}
	return ok
}
