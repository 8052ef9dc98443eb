package policy

import (
	"maps"
	"slices"

	"github.com/signet-cni/signet/identity"
)

// state is what a Result is kept up to date with.
type state struct {
	pool       *portPool
	normal     *normaliser
	classifier *classifier
	grouper    *grouper
	audit      func(namespace string) bool

	subjects *subjects
	spaces   spaces

	classes, ruleSets, portSets numbers
	members                     map[*peer][]*class   // that match a peer and have rows
	naming                      map[*peer][]*ruleSet // that name a peer and have rows
	fresh                       int                  // what was cached once everything was compiled
	visits                      uint64               // of rowsOf
}

func newState(short shorten) *state {
	pool := newPortPool()
	return &state{
		pool:       pool,
		normal:     newNormaliser(pool),
		classifier: newClassifier(),
		grouper:    newGrouper(pool),
		audit:      func(string) bool { return false },
		subjects:   &subjects{},
		spaces:     spaces{},
		classes:    newNumbers(short, uint64(ClassNonPod)+1),
		ruleSets:   newNumbers(short, uint64(NotIsolated)+1),
		portSets:   newNumbers(short, 1),
		members:    map[*peer][]*class{},
		naming:     map[*peer][]*ruleSet{},
	}
}

// cached is how much is kept although nothing may need it any more.
func (s *state) cached() int {
	return len(s.pool.byKey) + len(s.pool.unions) + len(s.classifier.nsMatch)
}

// spareCache is by how much more than twice what it was the cache may grow.
const spareCache = 1 << 15

// worn reports whether too much is cached that nothing needs.
func (s *state) worn() bool { return s.cached() > 2*s.fresh+spareCache }

// swap replaces policies by name: those that leave, and those that come.
func (g *grouper) swap(gone []PolicyRef, came []*compiled) (left []*compiled) {
	next := maps.Clone(g.policies)
	if next == nil {
		next = map[string][]*compiled{}
	}
	for _, ref := range gone {
		list := next[ref.Namespace]
		if n, found := slices.BinarySearchFunc(list, ref, (*compiled).compare); found {
			left = append(left, list[n])
			next[ref.Namespace] = slices.Concat(list[:n], list[n+1:])
		}
	}
	for _, c := range came {
		list := next[c.ref.Namespace]
		n, found := slices.BinarySearchFunc(list, c.ref, (*compiled).compare)
		rest := list[n:]
		if found {
			left, rest = append(left, list[n]), list[n+1:]
		}
		next[c.ref.Namespace] = slices.Concat(list[:n], []*compiled{c}, rest)
	}
	g.policies = next
	return left
}

func (p *compiled) compare(ref PolicyRef) int { return p.ref.compare(ref) }

// problems gives those of all policies, by name.
func (s *state) problems() (list []Problem) {
	for _, namespace := range slices.Sorted(maps.Keys(s.grouper.policies)) {
		for _, p := range s.grouper.policies[namespace] {
			list = append(list, p.problems...)
		}
	}
	return list
}

func (s *state) entry(of subject) Entry {
	ingress, egress := of.groups[Ingress].rules, of.groups[Egress].rules
	return Entry{
		Class:        ClassID(of.class.number),
		Ingress:      ingress.id(),
		Egress:       egress.id(),
		IngressCIDRs: ingress != nil && len(ingress.blocks) > 0,
		EgressCIDRs:  egress != nil && len(egress.blocks) > 0,
		Audit:        s.audit(of.set.Namespace),
	}
}

// matching gives the identities that a peer selects.
func (s *state) matching(p *peer, add func(identity.ID)) {
	for key, space := range s.spaces {
		if p.namespaces == nil && p.namespace != space.set.Namespace ||
			p.namespaces != nil && !s.classifier.inNamespaces(key, space.set, p) {
			continue
		}
		s.within(space, p.pods, identity.Yes, add)
	}
}

// within gives the identities of a space that a selector matches, at least as
// much as that.
func (s *state) within(space *space, pods identity.Selector, least identity.Match, add func(identity.ID)) {
	for id := range space.identities {
		if known, _ := s.subjects.get(id); pods.MatchPods(known.set) >= least {
			add(id)
		}
	}
}
