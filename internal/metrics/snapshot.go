package metrics

import "time"

// Source gives what is read when Prometheus asks. It is called concurrently.
type Source interface {
	Snapshot() Snapshot
}

// Snapshot is the state of a node at one time.
type Snapshot struct {
	Version string
	Ready   bool
	// Started: the rest is meaningful. Before, only Version is.
	Started bool

	Drops            map[string]Count // by reason
	EventsSuppressed uint64
	EventsLost       uint64
	Maps             []Map
	Peers            []Peer
	Refused          int // nodes whose tunnel objects are refused
	Endpoints        int
	Identities       int
	Largest          int // identities of the namespace that has most
	LargestLimit     int // what a namespace is warned of before; 0: none
	Unattested       Count
	Policies         int
	RefusedParts     map[PolicyPart]int // parts of policies that cannot be honoured
	Rows             int
	Revision         uint32
	Loops            []Loop
	Watches          []Watch
}

// PolicyPart is a kind of part of a NetworkPolicy.
type PolicyPart struct {
	Namespace, Policy string
	Reason            string // what it is: "peer", for example
}

// Count is packets and their bytes.
type Count struct{ Packets, Bytes uint64 }

// Map is one of the kernel's tables.
type Map struct {
	Name         string
	Entries, Max int
}

// Peer is another node.
type Peer struct {
	Node      string
	Handshake time.Time // zero: never
	Rx, Tx    int64     // bytes
}

// Loop is one of the agent's reconcile loops.
type Loop struct {
	Name           string
	Runs, Failures uint64
	Success        time.Time // end of the last success; zero: none yet
}

// Watch is the watch of one kind of API object.
type Watch struct {
	Kind    string
	Synced  bool
	Failing bool
	Objects int
}
