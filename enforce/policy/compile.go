package policy

import (
	"maps"
	"slices"

	"github.com/signet-cni/signet/identity"
)

// Result is a compiled policy, with what it takes to explain it. Its methods and
// those of Explain are safe for concurrent use; Table's are while nobody calls
// Extend.
type Result struct {
	Table    Table
	Explain  *Explain
	Problems []Problem // in the order of the policies' names

	builder *builder // for Extend
}

// nonPods are the identities that stand for no labels. No policy selects them,
// and no selector matches them.
var nonPods = []identity.ID{
	identity.Host, identity.RemoteNode, identity.World, identity.Unmanaged, identity.Health,
}

// anyPodClass and nonPodClass stand for the classes with a fixed number.
var anyPodClass, nonPodClass = &class{}, &class{}

// Compile turns policies over identities into the table that enforces them.
// The table depends on nothing else, not even on the order of the policies. It
// has entries for ids, less the reserved ones, and for the identities of hosts
// and the world.
//
// Where a set leaves open whether a selector matches (identity.Unclear) the
// table is closed: a peer is not admitted, and a subject is isolated without
// being admitted what the policy's rules say.
func Compile(ids map[identity.ID]identity.Set, policies []Policy) Result {
	return compile(ids, policies, first64)
}

func compile(ids map[identity.ID]identity.Set, policies []Policy, short shorten) Result {
	pool := newPortPool()
	normal := &normaliser{pool: pool, peers: map[string]*peer{}}
	grouper := newGrouper(pool, normal.policies(policies))
	classifier := newClassifier(normal.peers)
	subjects := make(map[identity.ID]subject, len(ids))
	for _, id := range slices.Sorted(maps.Keys(ids)) {
		if !id.Reserved() {
			subjects[id] = subject{class: classifier.classify(ids[id]), groups: grouper.find(ids[id])}
		}
	}
	builder := &builder{
		pool:       pool,
		classifier: classifier,
		grouper:    grouper,
		short:      short,
		subjects:   subjects,
		classes:    slices.Collect(maps.Values(classifier.classes)),
		ruleSets:   grouper.ruleSets,
		rows:       map[row]*portSet{},
		policies:   grouper.byNamespace,
	}
	table := builder.build()
	result := Result{Table: table, Explain: builder.explain(), Problems: normal.problems, builder: builder}
	builder.settle()
	return result
}

// policies gives the policies in their normal form, by name.
func (n *normaliser) policies(policies []Policy) []*compiled {
	sorted := slices.Clone(policies)
	slices.SortStableFunc(sorted, func(a, b Policy) int { return a.ref().compare(b.ref()) })
	out := make([]*compiled, 0, len(sorted))
	for _, p := range sorted {
		c := &compiled{ref: p.ref(), subjects: p.Subjects, isolates: [2]bool{p.IsolatesIngress, p.IsolatesEgress}}
		if p.IsolatesIngress {
			c.rules[Ingress] = n.rules(c.ref, Ingress, p.Ingress)
		}
		if p.IsolatesEgress {
			c.rules[Egress] = n.rules(c.ref, Egress, p.Egress)
		}
		out = append(out, c)
	}
	return out
}

func (p Policy) ref() PolicyRef { return PolicyRef{p.Namespace, p.Name} }

// NamedKeys gives the pod label keys that the policies' selectors name, sorted:
// the keys that count even if the ignore list covers them (identity.Ignore).
func NamedKeys(policies []Policy) []string {
	var keys []string
	add := func(s *identity.Selector) {
		if s == nil {
			return
		}
		for _, requirement := range s.Requirements {
			if requirement.Key != "" {
				keys = append(keys, requirement.Key)
			}
		}
	}
	for _, p := range policies {
		add(&p.Subjects)
		for _, r := range slices.Concat(p.Ingress, p.Egress) {
			for _, peer := range r.Peers {
				add(peer.Pods)
			}
		}
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}
