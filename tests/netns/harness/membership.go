package harness

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

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

// Announce says that a machine is a node by now, although it has published
// nothing. The others learn it when they plan.
func (c *Cluster) Announce(n *Node) { c.joining = append(c.joining, n.own...) }

// AddBootedNode starts a machine on which no agent has run since, but for the
// unit that an earlier one has left for this case.
func (c *Cluster) AddBootedNode() *Node {
	c.t.Helper()
	n := c.boot(c.podRange(len(c.machines) + 1))
	units := filepath.Join(n.dir, "units")
	c.must(os.MkdirAll(units, 0o755))
	c.must(guard.InstallUnit(units, "/proc/self/exe", c.options.guard()))
	c.must(n.startUnit(filepath.Join(units, "sysinit.target.wants", "signet-guard.service")))
	return n
}

// startUnit does what systemd does with a unit of one command, which is this
// binary as the CNI plugin's.
func (n *Node) startUnit(path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	_, rest, _ := strings.Cut(string(text), "\nExecStart=")
	line, _, _ := strings.Cut(rest, "\n")
	words := strings.Fields(line)
	if len(words) < 2 || words[0] != "/proc/self/exe" {
		return fmt.Errorf("%s starts %q", path, line)
	}
	cmd := itself(roleGuard, words[1:]...)
	return n.onHolder(cmd.Run)
}
