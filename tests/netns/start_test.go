package netns_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/signet-cni/signet/enforce/policy"
	"github.com/signet-cni/signet/tests/netns/harness"
)

const (
	hammerPort = 9
	// podPause and siegePause are between rounds of a starting pod, and of those
	// around it: what they send to other nodes is encrypted in vain.
	podPause   = 4 * time.Millisecond
	siegePause = 16 * time.Millisecond
)

// siege is a guarded pod's surroundings: peers on both nodes that hammer the
// addresses which pods will have, and count what comes from pods.
type siege struct {
	*harness.Cluster
	friend    *harness.Pod
	witnesses map[string]*harness.Witness // of those whom a guarded pod may not reach
	friendly  *harness.Witness
	targets   []netip.AddrPort
	received  int // by guarded pods, from their friend
}

func besiege(t *testing.T) *siege {
	s := &siege{
		Cluster:   harness.NewCluster(t, 2, harness.Options{PodBits: 29}),
		witnesses: map[string]*harness.Witness{},
	}
	n1, n2 := s.Nodes[0], s.Nodes[1]
	s.friend = s.AddPod(n2, harness.Role("friend"))
	enemies := map[string]*harness.Host{
		"stranger": &s.AddPod(n2, harness.Role("stranger")).Host, "neighbour": &s.AddPod(n1, harness.Role("neighbour")).Host,
		"node": &n2.Host, "world": s.World,
	}
	s.SetPolicies(
		ingress("guarded", policy.Rule{Peers: peers("friend")}),
		egress("guarded", policy.Rule{Peers: peers("friend")}),
	)
	var future []netip.AddrPort
	for addr := n1.PodCIDR.Addr().Next(); n1.PodCIDR.Contains(addr); addr = addr.Next() {
		future = append(future, netip.AddrPortFrom(addr, hammerPort))
	}
	for name, host := range enemies {
		s.witnesses[name] = host.Witness(hammerPort)
		s.targets = append(s.targets, netip.AddrPortFrom(host.Addr, hammerPort))
		if host != s.World { // it knows no way to a pod
			t.Cleanup(host.Hammer(name, future, siegePause))
		}
	}
	s.friendly = s.friend.Witness(hammerPort)
	s.targets = append(s.targets, netip.AddrPortFrom(s.friend.Addr, hammerPort))
	t.Cleanup(s.friend.Hammer("friend", future, siegePause))
	return s
}

// TestFirstPackets starts pods under hammering clients, which hammer back from
// before they have an interface. A guarded pod exchanges packets with its
// friend, and never one with anybody else, from the first on; every other pod
// is open, so that guarded ones get addresses which everybody has just talked
// to. Each has labels that the cluster has not seen before.
func TestFirstPackets(t *testing.T) {
	harness.Require(t)
	starts := 200
	if testing.Short() {
		starts = 10
	}
	s := besiege(t)
	began := time.Now()
	for i := range starts {
		role := "guarded"
		if i%2 == 1 {
			role = "open"
		}
		s.start(t, role, i)
	}
	for name, w := range s.witnesses {
		fromOpen := 0
		for said, count := range w.Heard() {
			if strings.HasPrefix(said, "guarded") {
				t.Errorf("%s got %d packets of %s", name, count, said)
			}
			fromOpen += count
		}
		if fromOpen == 0 {
			t.Errorf("%s got nothing of open pods: it would hear nothing of guarded ones either", name)
		}
	}
	t.Logf("%d starts in %s; guarded pods got %d packets of their friend", starts, time.Since(began).Round(time.Second), s.received)
}

// start begins and ends a pod, and looks at what it has received.
func (s *siege) start(t *testing.T, role string, number int) {
	t.Helper()
	name := fmt.Sprintf("%s-%d", role, number)
	p := s.PreparePod(s.Nodes[0], harness.Labels{
		Namespace: "test", Pod: map[string]string{"role": role, "number": fmt.Sprint(number)},
	})
	w := p.Witness(hammerPort)
	stop := p.Hammer(name, s.targets, podPause)
	must(t, p.Start())
	expected := []string{"friend"}
	if role == "open" {
		expected = []string{"friend", "stranger", "neighbour", "node"}
	}
	for _, said := range expected {
		if !w.Await(said, soon) {
			t.Errorf("%s heard nothing of %s; %s", name, said, s.Drops())
		}
	}
	if !s.friendly.Await(name, soon) {
		t.Errorf("its friend heard nothing of %s; %s", name, s.Drops())
	}
	stop()
	must(t, s.RemovePod(p))
	w.Stop()
	for said, count := range w.Heard() {
		if role == "open" {
			continue
		}
		if said != "friend" {
			t.Errorf("%s got %d packets of %s", name, count, said)
			continue
		}
		s.received += count
	}
}
