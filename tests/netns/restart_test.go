package netns_test

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/signet-cni/signet/enforce/policy"
	"github.com/signet-cni/signet/tests/netns/harness"
)

// numbered is a stream of datagrams that carry a number each.
type numbered struct {
	in, out *net.UDPConn
	to      netip.AddrPort
}

// run sends until stop is closed, one datagram a millisecond, and reports how
// many were sent and how many arrived.
func (s numbered) run(stop <-chan struct{}, sent, got *int) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 8)
		for next := 0; ; next++ {
			if n, err := s.in.Read(buf); err != nil || n != 8 {
				return
			}
			*got++
		}
	}()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-stop:
			_ = s.in.SetReadDeadline(time.Now().Add(never))
			<-done
			return
		case <-tick.C:
			if _, err := s.out.WriteToUDPAddrPort(binary.BigEndian.AppendUint64(nil, uint64(*sent)), s.to); err == nil {
				*sent++
			}
		}
	}
}

// TestAgentRestart replaces the programs again and again under TCP in bulk and
// a stream of datagrams, between nodes and within one: nothing is lost, and
// policy is in force all the time.
func TestAgentRestart(t *testing.T) {
	harness.Require(t)
	for _, clsact := range []bool{false, true} {
		t.Run(fmt.Sprintf("clsact=%v", clsact), func(t *testing.T) {
			c := harness.NewCluster(t, 2, harness.Options{ForceClsact: clsact})
			a := c.AddPod(c.Nodes[0], harness.Role("a"))
			b := c.AddPod(c.Nodes[1], harness.Role("b"))
			stranger := c.AddPod(c.Nodes[1], harness.Role("stranger"))
			c.SetPolicies(ingress("b", policy.Rule{Peers: peers("a")}))
			restarts(t, c, a, b)
			probe{"stranger to b", &stranger.Host, &b.Host, 80, "policy-ingress", c.Nodes[1]}.check(t)
			probe{"a to b", &a.Host, &b.Host, 80, "", nil}.check(t)
		})
	}
}

func restarts(t *testing.T, c *harness.Cluster, a, b *harness.Pod) {
	t.Helper()
	stream := numbered{in: b.UDP(9), out: a.UDP(0), to: netip.AddrPortFrom(b.Addr, 9)}
	var sent, got int
	stop, streamed, poured := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	go func() { stream.run(stop, &sent, &got); close(streamed) }()
	go func() { poured <- harness.Pour(&a.Host, &b.Host, 8080, stop) }()
	for range 3 {
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
	close(stop)
	must(t, <-poured)
	<-streamed
	if got != sent || sent < 100 {
		t.Errorf("%d of %d datagrams arrived; %s", got, sent, c.Drops())
	}
}

// TestUserspaceRestart replaces signet-wg under open connections, which go on.
func TestUserspaceRestart(t *testing.T) {
	harness.Require(t)
	c := harness.NewCluster(t, 2, harness.Options{})
	n1 := c.Nodes[0]
	if !n1.Userspace() {
		t.Skip("the kernel has WireGuard: there is no process to restart")
	}
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
