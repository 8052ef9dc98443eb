package netns_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/signet-cni/signet/tests/netns/harness"
)

// everybody says that all nodes have an agent.
func everybody(*harness.Node) bool { return true }

// load is TCP in bulk and a stream of numbered datagrams between every two
// nodes, both ways.
type load struct {
	t       *testing.T
	stop    chan struct{}
	running sync.WaitGroup
	drops   func() string
	counts  map[string]*count // by the pair
}

// count is of datagrams.
type count struct {
	sent int
	lost []int // their numbers, from 0
}

// String tells lost ones in a row as one run.
func (c *count) String() string {
	var runs []string
	for i := 0; i < len(c.lost); {
		first := i
		for i++; i < len(c.lost) && c.lost[i] == c.lost[i-1]+1; i++ {
		}
		runs = append(runs, fmt.Sprintf("%d from %d on", i-first, c.lost[first]))
	}
	return fmt.Sprintf("of %d datagrams %d were lost: %s", c.sent, len(c.lost), strings.Join(runs, ", "))
}

// newLoad gives every node a pod, waits for the first session of every two
// nodes, before which more than WireGuard can queue is lost, and starts. The
// cluster has to live.
func newLoad(t *testing.T, c *harness.Cluster) *load {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for slices.ContainsFunc(c.Nodes, func(n *harness.Node) bool { return !n.Connected() }) {
		if time.Now().After(deadline) {
			t.Fatal("not every two nodes have a session")
		}
		time.Sleep(20 * time.Millisecond)
	}
	l := &load{t: t, stop: make(chan struct{}), drops: c.Drops, counts: map[string]*count{}}
	var pods []*harness.Pod
	for i, n := range c.Nodes {
		pods = append(pods, c.AddPod(n, harness.Role(fmt.Sprintf("load%d", i))))
	}
	for i, from := range pods {
		for j, to := range pods {
			if i != j {
				l.between(from, to, uint16(9000+16*i+j))
			}
		}
	}
	return l
}

func (l *load) between(from, to *harness.Pod, port uint16) {
	stream := harness.NewStream(&from.Host, &to.Host, port)
	count := &count{}
	l.counts[from.Name+" to "+to.Name] = count
	l.running.Go(func() { count.sent, count.lost = stream.Run(l.stop, scaled(time.Millisecond)) })
	l.running.Go(func() {
		if err := harness.Pour(&from.Host, &to.Host, port, scaled(10*time.Millisecond), l.stop); err != nil {
			l.t.Errorf("TCP from %s to %s: %v", from.Name, to.Name, err)
		}
	})
}

// end fails the test if a datagram was lost or a connection broke.
func (l *load) end() {
	l.t.Helper()
	close(l.stop)
	l.running.Wait()
	total := 0
	for pair, count := range l.counts {
		total += count.sent
		if count.sent == 0 || len(count.lost) > 0 {
			l.t.Errorf("%s: %s; %s", pair, count, l.drops())
		}
	}
	l.t.Logf("%d datagrams and %d connections between %d pairs", total, len(l.counts), len(l.counts))
}

// changed waits for the end of a change of keys.
func changed(t *testing.T, n *harness.Node, limit time.Duration) harness.Rotation {
	t.Helper()
	deadline := time.Now().Add(limit)
	for {
		r := n.Rotation()
		if !r.Running {
			return r
		}
		if time.Now().After(deadline) {
			t.Fatalf("after %s it is still %q, waiting for %v", limit, r.Step, r.Waiting)
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// forgotten waits until no node accepts these keys any more: the last step was
// published a moment ago.
func forgotten(t *testing.T, c *harness.Cluster, keys [2]string) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for _, n := range c.Nodes {
		for slices.ContainsFunc(n.AcceptedKeys(), func(k string) bool { return k == keys[0] || k == keys[1] }) {
			if time.Now().After(deadline) {
				t.Fatal("a node still accepts an old key")
			}
			time.Sleep(50 * time.Millisecond)
		}
	}
}

// TestRotation changes the keys of every node, with -short of one, under load
// between all of them: nothing is lost, and no old key is left.
func TestRotation(t *testing.T) {
	harness.Require(t)
	c := harness.NewCluster(t, 3, harness.Options{})
	defer c.Live(everybody)()
	capture := c.Capture()
	l := newLoad(t, c)
	time.Sleep(scaled(200 * time.Millisecond))
	rotating := c.Nodes
	if testing.Short() {
		rotating = rotating[:1]
	}
	for _, n := range rotating {
		before, started := n.PublicKeys(), time.Now()
		must(t, n.Rotate())
		r := changed(t, n, 2*time.Minute)
		must(t, r.Err)
		after := n.PublicKeys()
		if after[0] == before[0] || after[1] == before[1] {
			t.Errorf("keys %v became %v", before, after)
		}
		t.Logf("keys changed in %s", time.Since(started).Round(time.Millisecond))
		forgotten(t, c, before)
	}
	l.end()
	capture.Stop(1)
	t.Logf("drops: %s", c.Drops())
}
