package api

import (
	"net/netip"
	"time"
)

// fingerprintLen is how many characters of a key tell it from others: 72 bits.
const fingerprintLen = 12

// Fingerprint gives the beginning of a public key in base64.
func Fingerprint(publicKey string) string {
	return publicKey[:min(len(publicKey), fingerprintLen)]
}

// Encryption is a node's end of the tunnel.
type Encryption struct {
	Node string `json:"node"`
	Kind string `json:"kind,omitempty"` // KernelDevice or UserspaceDevice
	MTU  int    `json:"mtu,omitempty"`  // bytes, of the tunnel's devices
	// PodMTU is the largest packet of a pod, in bytes.
	PodMTU int `json:"podMTU,omitempty"`
	// Underlay are the devices that lead to the peers.
	Underlay []string  `json:"underlay,omitempty"`
	Key      TunnelKey `json:"key"`
	Rotation Rotation  `json:"rotation"`
	// Problems of the node itself; those of peers are with them.
	Problems []string         `json:"problems,omitempty"`
	Peers    []EncryptionPeer `json:"peers"`
}

// TunnelKey is a WireGuard key.
type TunnelKey struct {
	PublicKey string    `json:"publicKey"`     // base64
	Made      time.Time `json:"made,omitzero"` // zero: unknown
}

// Rotation is a change of a node's keys, the current or the last one.
type Rotation struct {
	Running bool      `json:"running"`
	Step    string    `json:"step,omitempty"`    // in words
	Waiting []string  `json:"waiting,omitempty"` // nodes that it waits for
	Begun   time.Time `json:"begun,omitzero"`
	Ended   time.Time `json:"ended,omitzero"`
	// Overdue: some node does not follow, so that an old key cannot retire.
	Overdue bool   `json:"overdue,omitempty"`
	Error   string `json:"error,omitempty"` // why it was given up
}

// EncryptionPeer is another node, as this one reaches it.
type EncryptionPeer struct {
	Node     string         `json:"node"`
	Key      TunnelKey      `json:"key,omitzero"`
	Device   string         `json:"device,omitempty"` // by which it is reached now
	Endpoint netip.AddrPort `json:"endpoint,omitzero"`
	// LastHandshake on that device; zero: never.
	LastHandshake time.Time `json:"lastHandshake,omitzero"`
	Rx            int64     `json:"rx"` // bytes received by both devices
	Tx            int64     `json:"tx"` // bytes sent
	// Problem says why nothing gets there, "" if the peer is well.
	Problem string `json:"problem,omitempty"`
}
