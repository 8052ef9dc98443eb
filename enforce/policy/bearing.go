package policy

import (
	"fmt"
	"slices"
	"strings"

	"github.com/signet-cni/signet/identity"
)

// Bearing is what one policy of the subject's namespace has to do with a
// packet in one direction.
type Bearing struct {
	Policy PolicyRef
	// Isolates: it isolates the subject; then Rules tell more. Unclear: the
	// subject's identity leaves open whether it is selected, so that it is
	// isolated and admitted nothing.
	Isolates, Unclear bool
	// Because says why it does not select the subject, or why that is unclear.
	Because string
	Rules   []RuleBearing
}

// RuleBearing is a rule of a policy that isolates the subject.
type RuleBearing struct {
	Rule   RuleRef
	Text   string   // whom it admits on which ports
	Admits bool     // this packet
	Misses []string // why it does not: one for each peer and for the ports
}

// Bearings tells of every policy of the subject's namespace that has rules for
// the direction, by name. The sets are those that were compiled.
func (e *Explain) Bearings(q Query, direction Direction, sets map[identity.ID]identity.Set) []Bearing {
	subject, peer := q.Dst, q.Src
	if direction == Egress {
		subject, peer = q.Src, q.Dst
	}
	set, known := sets[subject]
	if !known {
		return nil
	}
	var out []Bearing
	for _, p := range e.policies[set.Namespace] {
		if !p.isolates[direction] {
			continue
		}
		match := p.subjects.MatchPods(set)
		b := Bearing{Policy: p.ref, Isolates: match != identity.No, Unclear: match == identity.Unclear}
		if match != identity.Yes {
			b.Because = missing(p.subjects, set.PodLabels, set.Dropped)
			out = append(out, b)
			continue
		}
		other, isPod := sets[peer]
		for _, r := range p.rules[direction] {
			b.Rules = append(b.Rules, e.ruleBearing(q, r, direction, other, isPod))
		}
		out = append(out, b)
	}
	return out
}

func (e *Explain) ruleBearing(q Query, r rule, direction Direction, other identity.Set, isPod bool) RuleBearing {
	b := RuleBearing{Rule: r.ref, Text: r.text(direction)}
	matches := e.peerOf(q, direction)
	b.Admits = slices.ContainsFunc(r.peers, matches) && r.ports.admit(q)
	if b.Admits {
		return b
	}
	for _, p := range r.peers {
		if !matches(p) {
			b.Misses = append(b.Misses, p.missed(other, isPod))
		}
	}
	if slices.ContainsFunc(r.peers, matches) {
		b.Misses = nil // one peer suffices
	}
	if !r.ports.admit(q) {
		b.Misses = append(b.Misses, fmt.Sprintf("it is for %s", r.ports))
	}
	return b
}

// String names the peer for people.
func (p *peer) String() string {
	switch p.scope {
	case scopeEverything:
		return "everybody"
	case scopeAnyPod:
		return "every pod"
	case scopeBlock:
		if len(p.except) == 0 {
			return "block " + p.cidr.String()
		}
		return strings.TrimSuffix(p.key, ",")
	}
	text := "every pod"
	if !p.pods.MatchesAll() {
		text = "pods with " + p.pods.String()
	}
	if p.namespaces == nil {
		return text + " in namespace " + p.namespace
	}
	if p.namespaces.MatchesAll() {
		return text + " in every namespace"
	}
	return text + " in namespaces with " + p.namespaces.String()
}

// missed says why the peer is not the other end, which has these labels if it
// is a pod.
func (p *peer) missed(other identity.Set, isPod bool) string {
	switch {
	case p.scope == scopeBlock:
		return "the address is not in " + p.String()
	case !isPod:
		return "the other end is no pod"
	case p.namespaces == nil && p.namespace != other.Namespace:
		return fmt.Sprintf("the other end is in namespace %s, want %s", other.Namespace, p.namespace)
	case p.namespaces != nil && p.namespaces.MatchNamespace(other) != identity.Yes:
		return "its namespace " + missing(*p.namespaces, other.NamespaceLabels, nil)
	}
	return "it " + missing(p.pods, other.PodLabels, other.Dropped)
}

// missing names the first requirement that labels do not meet. Keys that the
// globs cover may be there all the same.
func missing(s identity.Selector, labels map[string]string, globs []string) string {
	set := identity.Set{PodLabels: labels, Dropped: globs}
	for _, r := range s.Requirements {
		one := identity.Selector{Requirements: []identity.Requirement{r}}
		switch one.MatchPods(set) {
		case identity.Yes:
			continue
		case identity.Unclear:
			return fmt.Sprintf("leaves open whether %s holds", one)
		}
		if value, ok := labels[r.Key]; ok {
			return fmt.Sprintf("has label %s=%s, want %s", r.Key, value, one)
		}
		return fmt.Sprintf("has no label %s, want %s", r.Key, one)
	}
	return "matches"
}

// String gives the set for people, such as "TCP 80,443 and UDP dns".
func (s *portSet) String() string {
	if s.everything {
		return "all ports"
	}
	names := [...]string{"TCP", "UDP", "SCTP"}
	var parts []string
	for n, ports := range s.of {
		var list []string
		for _, r := range ports.ranges {
			list = append(list, r.String())
		}
		list = append(list, ports.names...)
		switch {
		case ports.all:
			parts = append(parts, "all "+names[n]+" ports")
		case len(list) > 0:
			parts = append(parts, names[n]+" "+strings.Join(list, ","))
		}
	}
	if len(parts) == 0 {
		return "no ports"
	}
	return strings.Join(parts, " and ")
}

// String gives one number, or the first and the last.
func (r portRange) String() string {
	if r.first == r.last {
		return fmt.Sprint(r.first)
	}
	return fmt.Sprintf("%d-%d", r.first, r.last)
}
