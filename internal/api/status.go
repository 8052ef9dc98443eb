package api

import (
	"net/netip"
	"time"
)

// Status is how one node fares.
type Status struct {
	Node    string `json:"node"`
	Version string `json:"version"` // of the agent
	Kernel  string `json:"kernel"`  // release, as uname gives it
	// Ready: the node encrypts, enforces and takes new pods.
	Ready bool `json:"ready"`
	// Problems are sentences that say what is wrong and what to do. A node
	// that is not ready has at least one; a ready one can have some.
	Problems []string `json:"problems,omitempty"`
	// Subsystems are the parts of the agent, each with what to do if it fails.
	Subsystems []Subsystem `json:"subsystems,omitempty"`
	Audit      AuditMode   `json:"audit"`
	Maps       []MapUsage  `json:"maps,omitempty"`
	Device     Device      `json:"device"`
	Policy     Policy      `json:"policy"`
	Endpoints  int         `json:"endpoints"` // pods on this node
	Watches    []Watch     `json:"watches,omitempty"`
	// Drops since the node started, by reason; reasons without any may be
	// left out.
	Drops     map[string]Drop `json:"drops,omitempty"`
	EventLoss EventLoss       `json:"eventLoss"`
	Attested  Attested        `json:"attested"`
}

// Attested is how the node treats packets whose identity the sending node has
// not published.
type Attested struct {
	Mode string `json:"mode,omitempty"` // "audit" or "enforce"
	// Unattested packets since the node started: in audit the first of each
	// flow and policy revision, in enforce every one that was dropped for it.
	Packets uint64 `json:"packets"`
	Bytes   uint64 `json:"bytes"`
}

// Kinds of tunnel device.
const (
	KernelDevice    = "kernel"
	UserspaceDevice = "userspace"
)

// Device is the node's WireGuard device. The zero value means that there is
// none.
type Device struct {
	Name       string `json:"name,omitempty"`
	Kind       string `json:"kind,omitempty"`       // KernelDevice or UserspaceDevice
	PublicKey  string `json:"publicKey,omitempty"`  // base64
	ListenPort int    `json:"listenPort,omitempty"` // UDP
	MTU        int    `json:"mtu,omitempty"`        // bytes
	PodMTU     int    `json:"podMTU,omitempty"`     // bytes
	Peers      []Peer `json:"peers,omitempty"`
}

// Peer is another node, as the device knows it.
type Peer struct {
	Node          string         `json:"node,omitempty"` // "" if no Tunnel object has the key
	PublicKey     string         `json:"publicKey"`      // base64
	Endpoint      netip.AddrPort `json:"endpoint,omitzero"`
	Prefix        netip.Prefix   `json:"prefix,omitzero"`        // tunnel addresses it may send from
	LastHandshake time.Time      `json:"lastHandshake,omitzero"` // zero: never
	Rx            int64          `json:"rx"`                     // bytes received
	Tx            int64          `json:"tx"`                     // bytes sent
}

// Policy is what the node enforces.
type Policy struct {
	Revision   uint32 `json:"revision"`
	Identities int    `json:"identities"` // known to the kernel
	Policies   int    `json:"policies"`   // NetworkPolicies compiled
	RuleSets   int    `json:"ruleSets"`
	Rows       int    `json:"rows"` // of all rule sets
}

// Watch is how the watch of one kind of API object fares.
type Watch struct {
	Kind    string `json:"kind"`
	Synced  bool   `json:"synced"`
	Objects int    `json:"objects"`
	Error   string `json:"error,omitempty"` // the latest failure, "" if it works
}

// Drop sums up the drops of one reason.
type Drop struct {
	Packets uint64 `json:"packets"`
	Bytes   uint64 `json:"bytes"`
	Text    string `json:"text,omitempty"` // what the reason means
}

// EventLoss is how many verdicts never became flows, since the node started.
type EventLoss struct {
	Suppressed uint64 `json:"suppressed"` // drops over the rate limit; counted in Drops
	Lost       uint64 `json:"lost"`       // the ring to the agent was full
}
