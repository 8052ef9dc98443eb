package policy

import (
	"cmp"
	"maps"
	"slices"

	"github.com/signet-cni/signet/identity"
)

// Diff is what a Result does not take into account yet.
type Diff struct {
	Identities     map[identity.ID]identity.Set // that come, or stand for something else than they did
	GoneIdentities []identity.ID
	Policies       []Policy // that come, or replace the one of their name
	GonePolicies   []PolicyRef
}

// Delta is what a Change does to a Table. Rows of Put are new, and those of Gone
// were there; but identities of Put may have had another entry.
type Delta struct{ Put, Gone Table }

// Empty reports whether nothing changes.
func (d *Delta) Empty() bool { return d.Put.Empty() && d.Gone.Empty() }

// Change brings the result up to date, at a cost that depends on what changes:
// on the identities that the changed policies select or selected, on those that
// their peers match where no other policy names the same peer, and on the rows
// that name all these. It gives how the table that Compile would make of the
// whole differs from what it was; r.Table stays as it is.
//
// It reports false, and the result is not to be used again, where Compile has to
// do it: numbers of two contents collide, so much has changed that compiling is
// quicker, or so much was replaced since that what is kept of it weighs.
func (r *Result) Change(d Diff) (delta Delta, ok bool) {
	all := 0
	for _, list := range r.state.grouper.policies {
		all += len(list)
	}
	if changed := len(d.Policies) + len(d.GonePolicies); changed > fewPolicies && changed > all/10 || r.state.worn() {
		return Delta{}, false
	}
	return r.change(d)
}

// fewPolicies are changed one by one, however many there are.
const fewPolicies = 16

// change is one Change in progress.
type change struct {
	*state
	delta    Delta
	next     *subjectsEdit
	affected map[identity.ID]bool // whose class or groups may be others now
	touched  []identity.ID        // whose class or groups are

	classes  turnover[class]
	ruleSets turnover[ruleSet]
	groups   map[*group]struct{}
	ports    []*portSet // whose uses have changed, each once
	rows     []row      // that come
	gone     []row
}

// turnover notes what was looked at, and tells then what of it is to have rows
// from now on, and what no more.
type turnover[T any] struct {
	seen       map[*T]struct{}
	born, dead []*T
}

func newTurnover[T any]() turnover[T] { return turnover[T]{seen: map[*T]struct{}{}} }

func (t *turnover[T]) note(x *T) { t.seen[x] = struct{}{} }

func (t *turnover[T]) settle(listed func(*T) *bool, used func(*T) bool) {
	for x := range t.seen {
		switch at := listed(x); {
		case used(x) && !*at:
			*at, t.born = true, append(t.born, x)
		case !used(x) && *at:
			*at, t.dead = false, append(t.dead, x)
		}
	}
}

func (r *Result) change(d Diff) (Delta, bool) {
	c := &change{
		state: r.state, delta: Delta{newTable(), newTable()}, next: r.state.subjects.edit(), affected: map[identity.ID]bool{},
		classes: newTurnover[class](), ruleSets: newTurnover[ruleSet](),
		groups: map[*group]struct{}{},
	}
	problems := c.changePolicies(d)
	c.changeIdentities(d)
	c.settle()
	if !c.number() || !c.lay() {
		return Delta{}, false
	}
	c.enter()
	if problems {
		r.Problems = c.problems()
	}
	r.publish(c.next)
	return c.delta, true
}

// changePolicies takes policies out and in, and notes the identities which that
// may concern. It reports whether any of them had a problem.
func (c *change) changePolicies(d Diff) (problems bool) {
	came := make([]*compiled, 0, len(d.Policies))
	for _, p := range slices.SortedFunc(slices.Values(d.Policies), func(a, b Policy) int { return a.Ref().compare(b.Ref()) }) {
		came = append(came, c.normal.policy(p))
	}
	left := c.grouper.swap(d.GonePolicies, came)
	note := func(id identity.ID) { c.affected[id] = true }
	born, dead := c.normal.count(came, left)
	slices.SortFunc(born, func(a, b *peer) int { return cmp.Compare(a.key, b.key) })
	for _, p := range slices.Concat(born, dead) {
		if p.scope != scopeSelected {
			continue
		}
		if c.matching(p, note); c.normal.named[p] > 0 {
			c.classifier.add(p)
		} else {
			c.classifier.remove(p)
		}
	}
	for _, p := range slices.Concat(came, left) {
		problems = problems || len(p.problems) > 0
		for _, space := range c.spaces {
			if space.set.Namespace == p.ref.Namespace {
				c.within(space, p.subjects, identity.Unclear, note)
			}
		}
	}
	return problems
}

// changeIdentities finds classes and groups anew where they may be others.
func (c *change) changeIdentities(d Diff) {
	for _, id := range d.GoneIdentities {
		if old, had := c.next.get(id); had {
			c.count(old, -1)
			c.spaces.remove(id, old.set)
			c.next.remove(id)
			c.delta.Gone.Identities[id] = old.entry
			delete(c.affected, id)
		}
	}
	for id := range c.affected {
		if _, renewed := d.Identities[id]; !renewed {
			old, _ := c.next.get(id)
			c.find(id, old.set)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(d.Identities)) {
		if id.Reserved() {
			continue
		}
		if old, had := c.next.get(id); had {
			c.spaces.remove(id, old.set)
		}
		c.spaces.add(id, d.Identities[id])
		c.find(id, d.Identities[id])
	}
}

// find gives an identity its class and its groups.
func (c *change) find(id identity.ID, set identity.Set) {
	now := subject{set: set, class: c.classifier.classify(set), groups: c.grouper.find(set)}
	c.count(now, 1)
	if old, had := c.next.get(id); had {
		c.count(old, -1)
	}
	c.next.set(id, now)
	c.touched = append(c.touched, id)
}

func (c *change) count(s subject, by int) {
	s.class.identities += by
	c.classes.note(s.class)
	for _, g := range s.groups {
		g.identities += by
		c.groups[g] = struct{}{}
	}
}

// settle tells which classes and rule sets there are from now on.
func (c *change) settle() {
	for g := range c.groups {
		if g.identities == 0 {
			c.grouper.drop(g)
		}
		if g.rules != nil {
			c.ruleSets.note(g.rules)
		}
	}
	c.classes.settle(func(x *class) *bool { return &x.listed }, func(x *class) bool { return x.identities > 0 })
	c.ruleSets.settle(func(x *ruleSet) *bool { return &x.listed }, func(x *ruleSet) bool { return x.groups > 0 })
}

// number gives new classes and rule sets the numbers that Compile would.
func (c *change) number() bool {
	var classes, ruleSets []*content
	for _, x := range c.classes.born {
		classes = append(classes, &x.content)
	}
	for _, x := range c.ruleSets.born {
		ruleSets = append(ruleSets, &x.content)
	}
	return c.state.classes.assign(classes) && c.state.ruleSets.assign(ruleSets)
}

// enter makes the entries of the identities that changed.
func (c *change) enter() {
	for _, id := range c.touched {
		s, _ := c.next.get(id)
		s.entry = c.entry(s)
		c.next.set(id, s)
		if old, had := c.subjects.get(id); !had || old.entry != s.entry {
			c.delta.Put.Identities[id] = s.entry
		}
	}
}
