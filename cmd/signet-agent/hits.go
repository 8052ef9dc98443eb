package main

import (
	"maps"
	"slices"
	"sync"

	"github.com/signet-cni/signet/enforce/policy"
	"github.com/signet-cni/signet/internal/api"
)

// hits counts the verdicts in which policies took part since the agent
// started. It is safe for concurrent use.
type hits struct {
	mu     sync.Mutex
	rules  map[policy.RuleRef]uint64   // packets that opened a flow and were admitted
	denied map[policy.PolicyRef]uint64 // verdicts in which it isolated and nothing admitted
}

func newHits() *hits {
	return &hits{rules: map[policy.RuleRef]uint64{}, denied: map[policy.PolicyRef]uint64{}}
}

// count takes in a verdict.
func (h *hits) count(f *api.Flow) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, p := range f.Policies {
		ref := policy.PolicyRef{Namespace: p.Namespace, Name: p.Name}
		if len(p.Rules) == 0 {
			h.denied[ref]++
		}
		for _, index := range p.Rules {
			h.rules[ruleRef(ref, p.Direction, index)]++
		}
	}
}

func ruleRef(ref policy.PolicyRef, direction string, index int) policy.RuleRef {
	rule := policy.RuleRef{Policy: ref, Index: index}
	if direction == api.Egress {
		rule.Direction = policy.Egress
	}
	return rule
}

func (h *hits) of(rule policy.RuleRef) uint64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.rules[rule]
}

func (h *hits) deniedBy(ref policy.PolicyRef) uint64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.denied[ref]
}

// others gives the policies of which something was counted, but these.
func (h *hits) others(policies []policy.Policy) []policy.PolicyRef {
	found := map[policy.PolicyRef]bool{}
	h.mu.Lock()
	for rule := range h.rules {
		found[rule.Policy] = true
	}
	for ref := range h.denied {
		found[ref] = true
	}
	h.mu.Unlock()
	for _, p := range policies {
		delete(found, p.Ref())
	}
	return slices.Collect(maps.Keys(found))
}

func (h *hits) forget(gone []policy.PolicyRef) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, ref := range gone {
		delete(h.denied, ref)
	}
	maps.DeleteFunc(h.rules, func(rule policy.RuleRef, _ uint64) bool { return slices.Contains(gone, rule.Policy) })
}

// Policies lists what this node enforces, and how often.
func (s *status) Policies() []api.PolicyStatus {
	if s.startProblem() != nil {
		return nil
	}
	inForce := s.agent.rules.history.all()
	if len(inForce) == 0 {
		return nil
	}
	local := s.localIdentities()
	source := map[policy.PolicyRef]policy.Policy{}
	policies, _ := s.agent.watcher.Policies()
	for _, p := range policies {
		source[p.Ref()] = p
	}
	var list []api.PolicyStatus
	for _, summary := range inForce[0].Summaries() {
		p := policyStatus(summary, s.agent.hits)
		p.Node, p.Source = s.agent.cfg.nodeName, source[summary.Policy]
		for _, id := range summary.Selects {
			p.Local += local[id]
		}
		for _, problem := range summary.Problems {
			p.Problems = append(p.Problems, problem.Rule.String()+": "+problem.Reason)
		}
		list = append(list, p)
	}
	return list
}

func policyStatus(s policy.Summary, h *hits) api.PolicyStatus {
	p := api.PolicyStatus{
		Namespace: s.Policy.Namespace, Name: s.Policy.Name, Ingress: s.Isolates[policy.Ingress], Egress: s.Isolates[policy.Egress],
		Identities: len(s.Selects), Denied: h.deniedBy(s.Policy),
	}
	for _, r := range s.Rules {
		p.Rules = append(p.Rules, api.RuleStatus{
			Direction: r.Rule.Direction.String(), Index: r.Rule.Index, Text: r.Text, Hits: h.of(r.Rule),
		})
	}
	return p
}
