package harness

import (
	"net/netip"

	"github.com/signet-cni/signet/internal/guard"
)

// AddNode starts one more node, with these addresses for its pods, which may be
// another's. Neither it nor the others know of each other before Sync or
// SyncWith.
func (c *Cluster) AddNode(pods netip.Prefix) *Node {
	c.t.Helper()
	n := c.boot(pods)
	n.start()
	c.must(n.SyncWith())
	c.must(c.applyPolicies())
	return n
}

// AddBootedNode starts a machine on which no agent has run since, but for what
// an earlier one has left for this case.
func (c *Cluster) AddBootedNode() *Node {
	c.t.Helper()
	n := c.boot(c.podRange(len(c.machines) + 1))
	n.Do(func() error { return guard.Set(c.options.guard()) })
	return n
}
