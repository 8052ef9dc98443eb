package harness

import (
	"fmt"
	"sort"
	"strings"
	"time"

	"github.com/signet-cni/signet/internal/guard"
)

// linkLocal is the reason of the drops that every interface in IPv6 brings
// about, now and then, whatever the test does.
const linkLocal = "link-local"

// dropped reads the node's counters, by reason: the programs' and the guard's,
// with those of linkLocal only if they are asked for.
func (n *Node) dropped(asked string) map[string]uint64 {
	n.t.Helper()
	counts := map[string]uint64{}
	if n.Datapath != nil {
		drops, err := n.Datapath.Drops()
		n.cluster.must(err)
		for r, d := range drops {
			if d.Packets > 0 && (r.String() != linkLocal || asked == linkLocal) {
				counts[r.String()] = d.Packets
			}
		}
	}
	n.Do(func() error {
		guarded, err := guard.Dropped()
		for reason, drop := range guarded {
			if drop.Packets > 0 {
				counts[reason] = drop.Packets
			}
		}
		return err
	})
	return counts
}

// WantDrops runs f, and fails the test unless the node then has dropped at
// least one packet for the named reason, and none for any other.
func (n *Node) WantDrops(reason string, f func()) {
	n.t.Helper()
	before := n.dropped(reason)
	f()
	var got map[string]uint64
	for range 50 {
		got = difference(before, n.dropped(reason))
		if len(got) > 0 || reason == "none" {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	if reason == "none" && len(got) == 0 {
		return
	}
	if got[reason] > 0 && len(got) == 1 {
		return
	}
	n.t.Errorf("%s dropped {%s}, want %s", n.name, describe(got), reason)
}

func difference(before, after map[string]uint64) map[string]uint64 {
	more := map[string]uint64{}
	for r, count := range after {
		if count > before[r] {
			more[r] = count - before[r]
		}
	}
	return more
}

func describe(counts map[string]uint64) string {
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
		parts = append(parts, fmt.Sprintf("%s {%s}", n.name, describe(n.dropped(""))))
	}
	return strings.Join(parts, ", ")
}
