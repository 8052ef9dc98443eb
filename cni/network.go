package cni

import (
	"context"
	"errors"
	"net/netip"
)

// ErrLimited says, when Network.Ready wraps it, that not even the pods attached
// already can be sure of their connectivity (CNI error code 51 instead of 50).
var ErrLimited = errors.New("existing pods have limited connectivity")

// Network is what the Manager needs of the rest of the agent. Its methods are
// called concurrently, for one endpoint at most one at a time. They must
// tolerate being told the same twice.
type Network interface {
	// Ready returns nil if pods can be attached, else why not.
	Ready() error
	// Connect attaches the hooks to the endpoint's host interface, which is
	// down, and returns nil only when the pod's identity and policy are in
	// the kernel. It may wait for whoever calls Endpoints or Prune, until ctx
	// ends (30 s).
	Connect(ctx context.Context, ep Endpoint) error
	// Silence has nothing pass to or from the endpoint any more, while its host
	// interface is there, with its hooks. Disconnect follows.
	Silence(ctx context.Context, ep Endpoint) error
	// Disconnect takes back all that Connect did, also if Connect failed
	// half-way or the host interface is gone already. While it fails, the
	// endpoint's address is not handed out again.
	Disconnect(ctx context.Context, ep Endpoint) error
	// Check returns an error if what Connect established is damaged.
	Check(ctx context.Context, ep Endpoint) error
}

// Node is what the Manager needs to know about its node.
type Node struct {
	Name string
	// PodCIDR is the IPv4 range that the node's pods get their addresses
	// from; invalid as long as none has been assigned.
	PodCIDR netip.Prefix
	// PodCIDR6 is the IPv6 /64 that they get another address from; invalid if
	// the node has none.
	PodCIDR6 netip.Prefix
	// Addr and Addr6 are the node's own addresses, source of what the host
	// sends to pods; Addr6 goes with PodCIDR6.
	Addr, Addr6 netip.Addr
	// MTU of pod interfaces in bytes.
	MTU int
}
