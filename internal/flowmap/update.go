package flowmap

import (
	"maps"
	"slices"
	"strings"

	"github.com/signet-cni/signet/internal/api"
)

// Update is a map, or what of it has changed.
type Update struct {
	// Full: forget what came before.
	Full bool `json:"full,omitempty"`
	// Workloads and Policies are all that there are, or nil: as before.
	Workloads []Workload `json:"workloads,omitempty"`
	Policies  []Policy   `json:"policies,omitempty"`
	Edges     []Edge     `json:"edges,omitempty"` // those that changed
	Nodes     []Node     `json:"nodes"`           // all of them
	Flows     uint64     `json:"flows"`           // verdicts so far
	// Forgotten counts edges that gave way to newer ones.
	Forgotten uint64 `json:"forgotten,omitempty"`
}

// Policy is a NetworkPolicy in words.
type Policy struct {
	Name    string   `json:"name"` // namespace/name
	Ingress []string `json:"ingress,omitempty"`
	Egress  []string `json:"egress,omitempty"`
}

// Changes gives what has changed since a version, all if that is 0, and the
// version to ask for next. It gives false if nothing has.
func (m *Map) Changes(since uint64) (Update, uint64, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if since == m.version {
		return Update{}, since, false
	}
	u := Update{Full: since == 0 || since < m.reset, Nodes: m.sortedNodes(), Flows: m.flows, Forgotten: m.forgotten}
	if u.Full {
		since = 0
	}
	if u.Full || since < m.inventory {
		u.Workloads, u.Policies = m.sortedWorkloads(), m.policiesInWords()
	}
	for _, id := range slices.Sorted(maps.Keys(m.edges)) {
		if edge := m.edges[id]; edge.version > since {
			u.Edges = append(u.Edges, m.shown(edge))
		}
	}
	return u, m.version, true
}

// shown is a copy of an edge that goes on changing.
func (m *Map) shown(e *Edge) Edge {
	copied := *e
	copied.Cases, copied.Samples = slices.Clone(e.Cases), slices.Clone(e.Samples)
	if e.Verdict != api.Forwarded {
		return copied
	}
	for _, verdict := range []string{api.Admitted, api.Dropped, api.Audited} {
		judged := m.edges[edgeID(e.From, e.To, verdict)]
		copied.Settled = copied.Settled || judged != nil && !judged.Last.Before(e.Last.Add(-settleTime))
	}
	return copied
}

func (m *Map) sortedWorkloads() []Workload {
	list := make([]Workload, 0, len(m.index.byID))
	for _, w := range m.index.byID {
		list = append(list, *w)
	}
	slices.SortFunc(list, func(a, b Workload) int { return strings.Compare(a.ID, b.ID) })
	return list
}

func (m *Map) policiesInWords() []Policy {
	list := make([]Policy, 0, len(m.policies))
	for _, status := range m.policies {
		p := Policy{Name: status.Namespace + "/" + status.Name}
		for _, rule := range status.Rules {
			if rule.Direction == api.Egress {
				p.Egress = append(p.Egress, rule.Text)
			} else {
				p.Ingress = append(p.Ingress, rule.Text)
			}
		}
		list = append(list, p)
	}
	return list
}
