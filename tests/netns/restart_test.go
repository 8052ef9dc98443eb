package netns_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"github.com/signet-cni/signet/enforce/policy"
	"github.com/signet-cni/signet/tests/netns/harness"
)

// TestAgentRestart kills and replaces the agents again and again under 100
// connections and a stream of numbered datagrams: nothing is lost, and policy
// is in force all the time.
func TestAgentRestart(t *testing.T) {
	harness.Require(t)
	for _, clsact := range []bool{false, true} {
		if clsact && testing.Short() {
			continue // the machines that run short are one of each kind
		}
		t.Run(fmt.Sprintf("clsact=%v", clsact), func(t *testing.T) {
			restarts(t, harness.NewCluster(t, 2, harness.Options{ForceClsact: clsact}))
		})
	}
}

// restarts is about a cluster without pods.
func restarts(t *testing.T, c *harness.Cluster) {
	t.Helper()
	a := c.AddPod(c.Nodes[0], harness.Role("a"))
	b := c.AddPod(c.Nodes[1], harness.Role("b"))
	stranger := c.AddPod(c.Nodes[1], harness.Role("stranger"))
	b.EchoTCP(8080)
	c.SetPolicies(ingress("b", policy.Rule{Peers: peers("a")}))
	survives(t, c, a, b, "agents killed", killAgents)
	survives(t, c, a, b, "agents replaced", replaceAgents)
	survives(t, c, a, b, "agents of another layout", upgradeAgents)
	probe{"stranger to b", &stranger.Host, &b.Host, 80, "policy-ingress", c.Nodes[1]}.check(t)
	probe{"a to b", &a.Host, &b.Host, 80, "", nil}.check(t)
}

// survives does something to the agents under traffic, and counts what is lost.
func survives(t *testing.T, c *harness.Cluster, a, b *harness.Pod, name string, event func(*testing.T, *harness.Cluster)) {
	t.Helper()
	load := harness.StartLoad(t, &a.Host, &b.Host, scaled(time.Millisecond))
	event(t, c)
	time.Sleep(scaled(20 * time.Millisecond)) // whoever waited to ask does
	toll := load.End()
	t.Logf("%s, %s WireGuard: %s", name, c.Nodes[0].WireGuard(), toll)
	if err := toll.Problem(); err != nil {
		t.Errorf("%s: %v; %s", name, err, c.Drops())
	}
}

// rounds is how often each agent goes.
func rounds() int {
	if testing.Short() {
		return 1
	}
	return 5
}

// killAgents kills starting agents at any point of what they do.
func killAgents(_ *testing.T, c *harness.Cluster) {
	for _, n := range c.Nodes {
		n.CloseDatapath()
	}
	for range rounds() {
		for _, n := range c.Nodes {
			n.KillAgent(rand.N(scaled(200 * time.Millisecond)))
		}
	}
	for _, n := range c.Nodes {
		n.OpenDatapath()
	}
}

func replaceAgents(t *testing.T, c *harness.Cluster) {
	for range rounds() {
		for _, n := range c.Nodes {
			revision := n.Datapath.Revision()
			n.CloseDatapath()
			time.Sleep(20 * time.Millisecond)
			n.OpenDatapath()
			if again := n.Datapath.Revision(); again != revision {
				t.Errorf("revision %d after the restart, %d before", again, revision)
			}
		}
	}
}

func upgradeAgents(t *testing.T, c *harness.Cluster) {
	for _, n := range c.Nodes {
		n.CloseDatapath()
		must(t, n.UpgradeDatapath())
	}
}

// userspaceCluster is one of two nodes with signet-wg, which the virtual machines
// alone have none of: their list of tests that may be skipped names those with it.
func userspaceCluster(t *testing.T) *harness.Cluster {
	t.Helper()
	harness.Require(t)
	if harness.HasKernelWireGuard(t) {
		t.Skip("the kernel has WireGuard: there is no process to restart")
	}
	return harness.NewCluster(t, 2, harness.Options{})
}

// TestUserspaceRestart replaces signet-wg under open connections, which go on.
func TestUserspaceRestart(t *testing.T) {
	c := userspaceCluster(t)
	n1 := c.Nodes[0]
	a, b := c.AddPod(n1, harness.Role("a")), c.AddPod(c.Nodes[1], harness.Role("b"))
	c.SetPolicies(ingress("a"))
	out := harness.Converse(t, &a.Host, &b.Host, netip.AddrPortFrom(b.Addr, 80), 80)
	capture := c.Capture()
	n1.KillServer()
	stops(t, out)
	started := time.Now()
	must(t, n1.RestartServer())
	must(t, out.Hear(soon))
	t.Logf("traffic flows again after %s", time.Since(started).Round(time.Millisecond))
	must(t, out.Say(soon))
	probe{"b to a", &b.Host, &a.Host, 81, "policy-ingress", n1}.check(t)
	capture.Stop(1)
}

// replacement is how long the tunnel may be away while signet-wg is replaced.
const replacement = 500 * time.Millisecond

// TestUserspaceReplacement replaces signet-wg under 100 connections, none of which
// breaks.
func TestUserspaceReplacement(t *testing.T) {
	c := userspaceCluster(t)
	a, b := c.AddPod(c.Nodes[0], harness.Role("a")), c.AddPod(c.Nodes[1], harness.Role("b"))
	b.EchoTCP(8080)
	b.EchoUDP(7)
	const connections = 100
	crowd := harness.Gather(t, &a.Host, netip.AddrPortFrom(b.Addr, 8080), connections, 20*time.Millisecond)
	isReplaced(t, 4, c.Nodes[0].ReplaceServer, func() error {
		return a.EchoOnce(netip.AddrPortFrom(b.Addr, 7), []byte("back?"), 20*time.Millisecond)
	})
	if answers, _, err := crowd.Disperse(); err != nil || answers < connections {
		t.Errorf("%d answers on %d connections: %v; %s", answers, connections, err, c.Drops())
	}
}

// TestUserspaceReplacementOfAListener replaces signet-wg where no pod sends
// anything, right after a change of keys, when the agents still greet their
// peers every second: what was greeted a moment ago is greeted again at once,
// since the new process knows of no session.
func TestUserspaceReplacementOfAListener(t *testing.T) {
	c := userspaceCluster(t)
	n := c.Nodes[0]
	listener, speaker := c.AddPod(n, harness.Role("listener")), c.AddPod(c.Nodes[1], harness.Role("speaker"))
	in, out := listener.UDP(9), speaker.UDP(0)
	defer in.Close()
	defer c.Live(everybody)()
	must(t, n.Rotate())
	must(t, changed(t, n, time.Minute).Err)
	replace := func() (ended time.Time, err error) {
		c.Between(func() error { ended, err = n.ReplaceServer(); return err })
		return ended, err
	}
	isReplaced(t, 2, replace, func() error {
		if _, err := out.WriteToUDPAddrPort([]byte("back?"), netip.AddrPortFrom(listener.Addr, 9)); err != nil {
			return err
		}
		if err := in.SetReadDeadline(time.Now().Add(20 * time.Millisecond)); err != nil {
			return err
		}
		_, err := in.Read(make([]byte, 16))
		return err
	})
}

// isReplaced replaces signet-wg some times, since a machine that is busy is slow at
// one time or another, and fails the test if the tunnel is never back in time.
func isReplaced(t *testing.T, times int, replace func() (ended time.Time, err error), reach func() error) {
	t.Helper()
	quickest := time.Hour
	for range times {
		ended, err := replace()
		must(t, err)
		for reach() != nil {
			if time.Since(ended) > 10*replacement {
				t.Fatal("the tunnel does not come back")
			}
		}
		took := time.Since(ended)
		t.Logf("the tunnel was away for %s", took.Round(time.Millisecond))
		quickest = min(quickest, took)
	}
	if quickest > replacement {
		t.Errorf("it was away for %s at least, want %s at most", quickest, replacement)
	}
}

// scaled gives a slow machine, an emulated one for instance, more time.
func scaled(d time.Duration) time.Duration {
	if testing.Short() {
		return 30 * d
	}
	return d
}
