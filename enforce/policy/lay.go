package policy

import "slices"

// row is a class row; its port set may not have a number yet.
type row struct {
	rules *ruleSet
	class *class
	ports *portSet
}

// ruleRows gives rows in the table's form.
func ruleRows(list []row) map[RuleKey]Ports {
	rows := make(map[RuleKey]Ports, len(list))
	for _, r := range list {
		rows[RuleKey{r.rules.id(), ClassID(r.class.number)}] = r.ports.row()
	}
	return rows
}

// lay takes the rows out of classes and rule sets that are gone, and lays those
// of new ones. It reports false where a number is in the way.
func (c *change) lay() bool {
	for _, rules := range c.ruleSets.dead {
		rules.classRows(c.pool, c.members, func(x *class, ports *portSet) { c.drop(row{rules, x, ports}) })
		for _, block := range rules.blocks {
			key := CIDRKey{rules.id(), block.prefix}
			c.delta.Gone.CIDRs[key] = block.ports.row()
			c.use(block.ports, -1)
		}
	}
	for _, x := range c.classes.dead {
		c.rowsOf(x, c.drop)
	}
	c.unlink()
	for _, x := range c.classes.born {
		c.rowsOf(x, c.add)
	}
	c.link()
	for _, rules := range c.ruleSets.born {
		rules.classRows(c.pool, c.members, func(x *class, ports *portSet) { c.add(row{rules, x, ports}) })
		for _, block := range rules.blocks {
			c.use(block.ports, 1)
		}
	}
	return c.layPorts()
}

// rowsOf gives the rows of one class in rule sets that have rows and go on to.
func (c *change) rowsOf(x *class, visit func(row)) {
	c.visits++
	for _, p := range x.peers {
		for _, rules := range c.naming[p] {
			if !rules.listed || rules.visit == c.visits {
				continue
			}
			rules.visit = c.visits
			if ports, more := rules.classRow(c.pool, x); more {
				visit(row{rules, x, ports})
			}
		}
	}
}

func (c *change) drop(r row) {
	c.gone = append(c.gone, r)
	c.use(r.ports, -1)
}

func (c *change) add(r row) {
	c.rows = append(c.rows, r)
	c.use(r.ports, 1)
}

func (c *change) use(ports *portSet, by int) {
	ports.uses += by
	if !ports.noted {
		ports.noted = true
		c.ports = append(c.ports, ports)
	}
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
	for _, set := range c.ports {
		if set.uses > 0 && set.number == 0 {
			born = append(born, &set.content)
		}
	}
	if !c.portSets.assign(born) {
		return false
	}
	c.delta.Put.Rules, c.delta.Gone.Rules = ruleRows(c.rows), ruleRows(c.gone)
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
	for _, set := range c.ports {
		set.noted = false
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
