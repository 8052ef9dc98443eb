package harness

import (
	"fmt"
	"sort"
	"strings"
	"time"

	"github.com/signet-cni/signet/enforce/datapath"
)

// dropped reads the node's counters.
func (n *Node) dropped() map[datapath.Reason]uint64 {
	n.t.Helper()
	drops, err := n.Datapath.Drops()
	n.cluster.must(err)
	counts := map[datapath.Reason]uint64{}
	for r, d := range drops {
		if d.Packets > 0 {
			counts[r] = d.Packets
		}
	}
	return counts
}

// WantDrops runs f, and fails the test unless the node then has dropped at
// least one packet for the named reason, and none for any other.
func (n *Node) WantDrops(reason string, f func()) {
	n.t.Helper()
	before := n.dropped()
	f()
	var got map[datapath.Reason]uint64
	for range 50 {
		got = difference(before, n.dropped())
		if len(got) > 0 || reason == "none" {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	if reason == "none" && len(got) == 0 {
		return
	}
	for r := range got {
		if r.String() == reason && len(got) == 1 {
			return
		}
	}
	n.t.Errorf("%s dropped {%s}, want %s", n.name, describe(got), reason)
}

func difference(before, after map[datapath.Reason]uint64) map[datapath.Reason]uint64 {
	more := map[datapath.Reason]uint64{}
	for r, count := range after {
		if count > before[r] {
			more[r] = count - before[r]
		}
	}
	return more
}

func describe(counts map[datapath.Reason]uint64) string {
	var parts []string
	for r, count := range counts {
		parts = append(parts, fmt.Sprintf("%s: %d", r, count))
	}
	sort.Strings(parts)
	return strings.Join(parts, ", ")
}

// Drops says what every node has dropped so far, for messages.
func (c *Cluster) Drops() string {
	var parts []string
	for _, n := range c.Nodes {
		parts = append(parts, fmt.Sprintf("%s {%s}", n.name, describe(n.dropped())))
	}
	return strings.Join(parts, ", ")
}
