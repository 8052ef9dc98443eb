package cli

import (
	"errors"
	"maps"
	"net/netip"
	"strings"
	"testing"

	"github.com/signet-cni/signet/internal/kube/agents"
	"github.com/signet-cni/signet/internal/kube/trial"
	"github.com/signet-cni/signet/internal/probe"
)

func TestJudgePaths(t *testing.T) {
	own, other := netip.MustParseAddr("10.244.1.2"), netip.MustParseAddr("172.18.0.3")
	pod := path{want: probe.Answer, server: "server-1", client: own}
	for name, test := range map[string]struct {
		path    path
		outcome probe.Outcome
		wrong   string
	}{
		"right":              {pod, probe.Outcome{Got: probe.Answer, Server: "server-1", Client: own}, ""},
		"another server":     {pod, probe.Outcome{Got: probe.Answer, Server: "server-0", Client: own}, "server-0 answered"},
		"another address":    {pod, probe.Outcome{Got: probe.Answer, Server: "server-1", Client: other}, "the client's own address"},
		"silence":            {pod, probe.Outcome{Got: probe.Silence}, "want answer, got silence"},
		"why":                {pod, probe.Outcome{Got: probe.Failed, Detail: "no route"}, "no route"},
		"denied":             {path{want: probe.Silence}, probe.Outcome{Got: probe.Silence}, ""},
		"denied, but passes": {path{want: probe.Silence}, probe.Outcome{Got: probe.Answer}, "want silence, got answer"},
		"denied, but loud":   {path{want: probe.Silence}, probe.Outcome{Got: probe.Refused}, "want silence, got refused"},
		"name":               {path{want: probe.Answer, addr: own}, probe.Outcome{Got: probe.Answer, Addrs: []netip.Addr{own}}, ""},
		"another's name":     {path{want: probe.Answer, addr: own}, probe.Outcome{Got: probe.Answer, Addrs: []netip.Addr{other}}, "want 10.244.1.2"},
	} {
		got := test.path.judge(test.outcome)
		if (got == "") != (test.wrong == "") || !strings.Contains(got, test.wrong) {
			t.Errorf("%s: %q, want %q", name, got, test.wrong)
		}
	}
}

func TestSealedPairs(t *testing.T) {
	seen := func(tunnel, clear, sealed uint64) []probe.Seen {
		return []probe.Seen{
			{Device: "eth0", Sealed: sealed, Marks: map[string]uint64{"0:1": clear}},
			{Device: "signet0", Marks: map[string]uint64{"0:1": tunnel}},
		}
	}
	for name, test := range map[string]struct {
		sender, receiver []probe.Seen
		wrong            string
	}{
		"sealed":                   {seen(5, 0, 9), seen(5, 0, 9), ""},
		"in clear at the receiver": {seen(5, 0, 9), seen(5, 1, 9), "in CLEAR on device eth0"},
		"in clear at the sender":   {seen(5, 2, 9), seen(5, 0, 9), "in CLEAR on device eth0"},
		"not in the tunnel":        {seen(5, 0, 9), seen(0, 0, 9), "nothing of it was seen in the tunnel"},
		"no WireGuard":             {seen(5, 0, 9), seen(5, 0, 0), "no WireGuard datagram"},
		"on the second device":     {seen(0, 0, 9), append(seen(0, 0, 9), probe.Seen{Device: "signet1", Marks: map[string]uint64{"0:1": 2}}), ""},
		"nothing seen at all":      {nil, nil, "nothing of it was seen"},
	} {
		if got := sealedPair("0:1", test.sender, test.receiver); (got == "") != (test.wrong == "") || !strings.Contains(got, test.wrong) {
			t.Errorf("%s: %q, want %q", name, got, test.wrong)
		}
	}
}

// A path that was not tried is neither right nor wrong, and fails the test.
func TestUntriedPaths(t *testing.T) {
	r := &connectivityRun{agents: []agents.Agent{{Node: "worker-1"}}}
	got := r.result(path{check: checkPod, about: "pod to pod"}, probe.Outcome{}, errors.New("no session"))
	if got.OK || !got.Unknown || !strings.Contains(got.Detail, "no session") {
		t.Errorf("%+v", got)
	}
	if cell := (cellState{tried: 2, unknown: 1}).cell(); cell.Text != "?" {
		t.Errorf("cell %+v", cell)
	}
	if cell := (cellState{tried: 2, unknown: 1, wrong: 1}).cell(); cell.Text != "FAIL" {
		t.Errorf("cell %+v", cell)
	}
}

// With two families each is tried on its own; the world and nodes are tried
// once.
func TestPathsOfTwoFamilies(t *testing.T) {
	four, six := netip.MustParseAddr("10.244.1.2"), netip.MustParseAddr("fd10:244:1::2")
	run := func(addrs ...netip.Addr) (open, closed map[string]int) {
		pod := []trial.Pod{{Name: "server-0", Addrs: addrs, HostAddr: netip.MustParseAddr("172.18.0.2")}}
		r := &connectivityRun{
			agents: []agents.Agent{{Node: "worker-1"}}, clients: pod, servers: pod, hosts: pod,
			trial: &trial.Trial{Services: map[string][]netip.Addr{"server-0": addrs}}, flags: connectivityFlags{world: "192.0.2.7:443"},
		}
		open, closed = map[string]int{}, map[string]int{}
		for _, p := range r.openPaths() {
			open[p.check]++
		}
		for _, p := range r.policyPaths() {
			closed[p.want]++
		}
		return open, closed
	}
	open, closed := run(four)
	want := map[string]int{checkPod: 6, checkService: 2, checkDNS: 1, checkNode: 2, checkFromNode: 2, checkWorld: 1}
	if !maps.Equal(open, want) || closed[probe.Answer] != 4 || closed[probe.Silence] != 4 {
		t.Errorf("one family: %v, %v", open, closed)
	}
	open, closed = run(four, six)
	want = map[string]int{checkPod: 12, checkService: 4, checkDNS: 2, checkNode: 2, checkFromNode: 2, checkWorld: 1}
	if !maps.Equal(open, want) || closed[probe.Answer] != 6 || closed[probe.Silence] != 8 {
		t.Errorf("two families: %v, %v", open, closed)
	}
}
