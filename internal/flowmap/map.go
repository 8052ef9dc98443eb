package flowmap

import (
	"cmp"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/signet-cni/signet/internal/api"
)

// settleTime is how long after a sender the receiver may tell of the same flow.
const settleTime = 5 * time.Second

// Map is the sum of the flows so far. It is safe for concurrent use.
type Map struct {
	mu        sync.Mutex
	index     *index
	policies  []api.PolicyStatus
	edges     map[string]*Edge
	nodes     map[string]*Node
	flows     uint64
	forgotten uint64

	version   uint64 // of the latest change; 0 is before them all
	inventory uint64 // version of workloads and policies
	reset     uint64 // version below which a reader has edges that are gone
}

// Node is how the stream of a node's flows fares.
type Node struct {
	Node string `json:"node"`
	// State is Connecting, Live or Failed.
	State string `json:"state"`
	Error string `json:"error,omitempty"`
	Lost  Lost   `json:"lost,omitzero"`
}

// Lost is what of a node is missing from the map.
type Lost struct {
	TooFast    uint64 `json:"tooFast,omitempty"`    // flows that came faster than they could be told
	RingFull   uint64 `json:"ringFull,omitempty"`   // verdicts that met a full ring to the agent
	Suppressed uint64 `json:"suppressed,omitempty"` // drops over the rate limit, which are only counted
}

// States of a node's stream.
const (
	Connecting = "connecting"
	Live       = "live"
	Failed     = "failed"
)

// New returns an empty map.
func New() *Map {
	return &Map{version: 1, index: newIndex(Inventory{}), edges: map[string]*Edge{}, nodes: map[string]*Node{}}
}

// Add takes in a flow.
func (m *Map) Add(f *api.Flow) {
	m.mu.Lock()
	defer m.mu.Unlock()
	before := len(m.index.byID)
	from, to := opened(f)
	src, dst := m.index.find(from), m.index.find(to)
	m.version++
	if len(m.index.byID) != before {
		m.inventory = m.version
	}
	if f.Verdict == api.Over {
		if dst.tells(f) {
			m.endFlow(src.ID, dst.ID, f)
		}
		return
	}
	m.flows++
	edge := m.edge(src.ID, dst.ID, f.Verdict)
	edge.count(f)
	edge.version = m.version
	if sent := m.edges[edgeID(src.ID, dst.ID, api.Forwarded)]; sent != nil {
		sent.version = m.version // it may be settled now
	}
	if len(m.edges) > MaxEdges {
		m.forget()
	}
}

// tells reports whether the end of a flow counts: a flow between nodes ends on
// both of them, and the one with the receiver judged it.
func (w *Workload) tells(f *api.Flow) bool {
	at := slices.IndexFunc(w.Pods, func(p Pod) bool { return p.Name == f.Dst.Pod })
	return at < 0 || w.Pods[at].Node == f.Node
}

// endFlow adds what a flow carried to the edge that admitted it.
func (m *Map) endFlow(src, dst string, f *api.Flow) {
	for _, verdict := range []string{api.Admitted, api.Audited} {
		if edge := m.edges[edgeID(src, dst, verdict)]; edge != nil && f.Ended != nil {
			edge.end(f.Ended)
			edge.version = m.version
			return
		}
	}
}

func edgeID(from, to, verdict string) string { return from + " > " + to + " " + verdict }

func (m *Map) edge(from, to, verdict string) *Edge {
	id := edgeID(from, to, verdict)
	edge := m.edges[id]
	if edge == nil {
		edge = &Edge{ID: id, From: from, To: to, Verdict: verdict}
		m.edges[id] = edge
	}
	return edge
}

// forget removes the tenth of the edges that were used least lately, so that it
// is not done for each new one.
func (m *Map) forget() {
	byAge := slices.SortedFunc(maps.Values(m.edges), func(a, b *Edge) int { return a.Last.Compare(b.Last) })
	for _, edge := range byAge[:len(byAge)/10] {
		delete(m.edges, edge.ID)
		m.forgotten++
	}
	m.reset = m.version
	m.dropUnused()
}

// dropUnused removes workloads that have neither pods nor edges.
func (m *Map) dropUnused() {
	used := map[string]bool{}
	for _, e := range m.edges {
		used[e.From], used[e.To] = true, true
	}
	maps.DeleteFunc(m.index.byID, func(id string, w *Workload) bool { return len(w.Pods) == 0 && !used[id] })
	m.inventory = m.version
}

// SetInventory takes in what there is in the cluster now. Edges of workloads
// that are gone stay, and so do these.
func (m *Map) SetInventory(inv Inventory) {
	next := newIndex(inv)
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, e := range m.edges {
		for _, id := range []string{e.From, e.To} {
			if old := m.index.byID[id]; next.byID[id] == nil && old != nil {
				gone := *old
				gone.Pods, gone.Policies = nil, nil
				next.byID[id] = &gone
			}
		}
	}
	m.index, m.policies = next, inv.Policies
	m.version++
	m.inventory = m.version
}

// SetNode tells how a node's stream fares.
func (m *Map) SetNode(name, state, problem string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := m.node(name)
	n.State, n.Error = state, problem
	m.version++
}

// KeepNodes forgets all other nodes: they have left the cluster.
func (m *Map) KeepNodes(names []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	maps.DeleteFunc(m.nodes, func(name string, _ *Node) bool { return !slices.Contains(names, name) })
	m.version++
}

// AddLost notes what of a node is missing.
func (m *Map) AddLost(name string, lost Lost) {
	m.mu.Lock()
	defer m.mu.Unlock()
	sum := &m.node(name).Lost
	sum.TooFast += lost.TooFast
	sum.RingFull += lost.RingFull
	sum.Suppressed += lost.Suppressed
	m.version++
}

func (m *Map) node(name string) *Node {
	n := m.nodes[name]
	if n == nil {
		n = &Node{Node: name, State: Connecting}
		m.nodes[name] = n
	}
	return n
}

// sortedNodes gives all nodes by name.
func (m *Map) sortedNodes() []Node {
	list := make([]Node, 0, len(m.nodes))
	for _, n := range m.nodes {
		list = append(list, *n)
	}
	slices.SortFunc(list, func(a, b Node) int { return cmp.Compare(a.Node, b.Node) })
	return list
}
