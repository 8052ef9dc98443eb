package netns_test

import (
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/signet-cni/signet/tests/netns/harness"
)

// reaches waits for a step of a change of keys.
func reaches(t *testing.T, n *harness.Node, step string) {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	for !strings.Contains(n.Rotation().Step, step) {
		if time.Now().After(deadline) {
			t.Fatalf("it is at %q, not at %q", n.Rotation().Step, step)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// TestRotationWithoutAnAgent: a node whose agent is dead goes on sending by the
// old key, so that stays in force until the agent is back.
func TestRotationWithoutAnAgent(t *testing.T) {
	harness.Require(t)
	c := harness.NewCluster(t, 2, harness.Options{})
	n1, n2 := c.Nodes[0], c.Nodes[1]
	var dead atomic.Bool
	defer c.Live(func(n *harness.Node) bool { return n != n2 || !dead.Load() })()
	l := newLoad(t, c)
	time.Sleep(scaled(200 * time.Millisecond))
	dead.Store(true)
	before := n1.PublicKeys()
	must(t, n1.Rotate())
	time.Sleep(10 * time.Second) // more than a change of keys needs
	r := n1.Rotation()
	if !r.Running || len(r.Waiting) != 1 || n1.PublicKeys() != before {
		t.Errorf("without the other agent: %+v, same keys %v", r, n1.PublicKeys() == before)
	}
	dead.Store(false)
	c.Between(c.Sync) // what a starting agent does
	must(t, changed(t, n1, 2*time.Minute).Err)
	if after := n1.PublicKeys(); after[0] == before[0] || after[1] == before[1] {
		t.Error("keys are the old ones")
	}
	forgotten(t, c, before)
	l.end()
}

// TestRotationSurvivesTheAgent: an agent that dies at any step loses nothing,
// and the next one brings the keys to a good end.
func TestRotationSurvivesTheAgent(t *testing.T) {
	harness.Require(t)
	for _, step := range []struct {
		name    string
		rekeyed bool // before the death
	}{
		{"moving traffic to", false},
		{"moving traffic back", true},
	} {
		t.Run(step.name, func(t *testing.T) {
			c := harness.NewCluster(t, 2, harness.Options{})
			defer c.Live(everybody)()
			l := newLoad(t, c)
			n1, before := c.Nodes[0], c.Nodes[0].PublicKeys()
			must(t, n1.Rotate())
			reaches(t, n1, step.name)
			time.Sleep(1500 * time.Millisecond) // traffic is on its way to the other device
			c.Between(func() error {
				if err := n1.OpenTunnel(); err != nil {
					return err
				}
				return c.Sync()
			})
			r := changed(t, n1, 2*time.Minute)
			must(t, r.Err)
			after := n1.PublicKeys()
			if changes := after[0] != before[0] && after[1] != before[1]; changes != step.rekeyed {
				t.Errorf("keys %v became %v", before, after)
			}
			onFirst(t, c)
			l.end()
		})
	}
}

// TestRotationSurvivesBothAgents: an agent that starts anew does not take its own
// old sessions for those of its new key, of which a node without an agent knows
// nothing.
func TestRotationSurvivesBothAgents(t *testing.T) {
	harness.Require(t)
	c := harness.NewCluster(t, 2, harness.Options{})
	n1, n2 := c.Nodes[0], c.Nodes[1]
	const rekeyed = "moving traffic back"
	var dead, back atomic.Bool
	defer c.Live(func(n *harness.Node) bool {
		if n == n2 && strings.Contains(n1.Rotation().Step, rekeyed) {
			dead.Store(true) // before it hears of the new key
		}
		return n != n2 || !dead.Load() || back.Load()
	})()
	l := newLoad(t, c)
	must(t, n1.Rotate())
	reaches(t, n1, rekeyed)
	c.Between(func() error { return errors.Join(n1.OpenTunnel(), n1.Look()) }) // that before it has a plan
	reaches(t, n1, rekeyed)
	time.Sleep(3 * time.Second) // in which it would move traffic
	back.Store(true)
	c.Between(c.Sync)
	must(t, changed(t, n1, 2*time.Minute).Err)
	onFirst(t, c)
	l.end()
}

// onFirst waits until every node is reached by the first device again.
func onFirst(t *testing.T, c *harness.Cluster) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for slices.ContainsFunc(c.Nodes, func(n *harness.Node) bool { return len(n.Datapath.Detours()) > 0 }) {
		if time.Now().After(deadline) {
			t.Fatal("some node still takes the detour")
		}
		time.Sleep(100 * time.Millisecond)
	}
}
