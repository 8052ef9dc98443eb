package flowmap_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/signet-cni/signet/identity"
	"github.com/signet-cni/signet/internal/api"
	"github.com/signet-cni/signet/internal/flowmap"
)

var noon = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

func endpoint(pod string, addr string, id identity.ID, labels map[string]string) api.Endpoint {
	return api.Endpoint{Node: "worker", Namespace: "concert", Pod: pod, Addr: netip.MustParseAddr(addr), Identity: id, Labels: labels}
}

// concert is a Deployment of two pods and a pod that nobody owns to the
// command's knowledge.
func concert() *flowmap.Map {
	m := flowmap.New()
	m.SetInventory(flowmap.Inventory{
		Pods: []api.Endpoint{
			endpoint("vip-7d-1", "10.244.1.2", 1001, map[string]string{"role": "vip", "track": "new"}),
			endpoint("vip-7d-2", "10.244.1.3", 1004, map[string]string{"role": "vip"}),
			endpoint("security", "10.244.2.2", 1002, map[string]string{"role": "security"}),
		},
		Owners: map[string]flowmap.Owner{
			"concert/vip-7d-1": {Kind: "Deployment", Name: "vip"}, "concert/vip-7d-2": {Kind: "Deployment", Name: "vip"},
		},
		Isolating: func(id identity.ID) []flowmap.Isolation {
			if id == 1001 || id == 1004 {
				return []flowmap.Isolation{{Policy: "concert/vip", Direction: api.Ingress}}
			}
			return nil
		},
		Policies: []api.PolicyStatus{{Namespace: "concert", Name: "vip", Rules: []api.RuleStatus{{Direction: api.Ingress, Text: "from security on TCP 80"}}}},
	})
	return m
}

func end(pod, addr string, port uint16, id identity.ID) api.End {
	e := api.End{Addr: netip.MustParseAddr(addr), Port: port, Identity: id, Namespace: "concert", Pod: pod}
	if id.Reserved() {
		e.Namespace, e.Pod, e.IdentityName = "", "", id.Name()
	}
	return e
}

func vip() api.End      { return end("vip-7d-1", "10.244.1.2", 80, 1001) }
func security() api.End { return end("security", "10.244.2.2", 40001, 1002) }

const (
	vipID      = "concert/Deployment/vip"
	securityID = "concert/Pods/security"
)

func flow(seconds int, verdict string, src, dst api.End) *api.Flow {
	f := &api.Flow{Time: noon.Add(time.Duration(seconds) * time.Second), Node: "worker", Verdict: verdict, Protocol: "TCP", Src: src, Dst: dst}
	if verdict == api.Dropped {
		f.Reason = "policy-ingress"
		f.Policies = []api.PolicyPart{{Namespace: "concert", Name: "vip", Direction: api.Ingress}}
	}
	return f
}

func all(t *testing.T, m *flowmap.Map) flowmap.Update {
	t.Helper()
	u, _, changed := m.Changes(0)
	if !changed || !u.Full {
		t.Fatal("a first reader is told nothing")
	}
	return u
}

func TestWorkloads(t *testing.T) {
	u := all(t, concert())
	want := []flowmap.Workload{{
		ID: vipID, Namespace: "concert", Kind: "Deployment", Name: "vip",
		Pods: []flowmap.Pod{
			{Name: "vip-7d-1", Node: "worker", Addr: netip.MustParseAddr("10.244.1.2")},
			{Name: "vip-7d-2", Node: "worker", Addr: netip.MustParseAddr("10.244.1.3")},
		},
		Labels: map[string]string{"role": "vip"}, Identities: []identity.ID{1001, 1004},
		Policies: []flowmap.Isolation{{Policy: "concert/vip", Direction: "ingress"}},
	}, {
		ID: securityID, Namespace: "concert", Kind: "Pods", Name: "security",
		Pods:   []flowmap.Pod{{Name: "security", Node: "worker", Addr: netip.MustParseAddr("10.244.2.2")}},
		Labels: map[string]string{"role": "security"}, Identities: []identity.ID{1002},
	}}
	if diff := cmp.Diff(want, u.Workloads, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if len(u.Policies) != 1 || u.Policies[0].Ingress[0] != "from security on TCP 80" {
		t.Errorf("policies %+v", u.Policies)
	}
}

// Verdicts of one kind add up, others make an edge of their own.
func TestEdges(t *testing.T) {
	m := concert()
	m.Add(flow(1, api.Admitted, security(), vip()))
	m.Add(flow(3, api.Admitted, security(), vip()))
	other := vip()
	other.Port = 8080
	m.Add(flow(2, api.Admitted, security(), other))
	m.Add(flow(4, api.Dropped, security(), other))
	edges := all(t, m).Edges
	if len(edges) != 2 {
		t.Fatalf("%d edges: %+v", len(edges), edges)
	}
	admitted, dropped := edges[0], edges[1]
	if admitted.Verdict != api.Admitted || admitted.Count != 3 || len(admitted.Cases) != 2 || admitted.Cases[1].Count != 2 ||
		!admitted.First.Equal(noon.Add(time.Second)) || !admitted.Last.Equal(noon.Add(3*time.Second)) {
		t.Errorf("admitted: %+v", admitted)
	}
	if c := dropped.Cases[0]; dropped.From != securityID || dropped.To != vipID || c.Port != 8080 || c.Reason != "policy-ingress" || c.Policies[0].Name != "vip" {
		t.Errorf("dropped: %+v", dropped)
	}
}

// A reply tells of the flow that the other end opened.
func TestReplyPointsTheWayItWasOpened(t *testing.T) {
	m := concert()
	f := flow(1, api.Admitted, vip(), security())
	f.Reply = true
	m.Add(f)
	if e := all(t, m).Edges[0]; e.From != securityID || e.To != vipID || e.Cases[0].Port != 80 {
		t.Errorf("%+v", e)
	}
}

// What the sender forwarded is settled once the receiver has told its verdict.
func TestForwardedIsSettledByTheReceiver(t *testing.T) {
	m := concert()
	m.Add(flow(10, api.Forwarded, security(), vip()))
	u, version, _ := m.Changes(0)
	if u.Edges[0].Settled {
		t.Error("settled before anybody judged")
	}
	m.Add(flow(10, api.Dropped, security(), vip()))
	u, version, _ = m.Changes(version)
	settled := 0
	for _, e := range u.Edges {
		if e.Verdict == api.Forwarded && e.Settled {
			settled++
		}
	}
	if settled != 1 {
		t.Errorf("a reader is not told that the edge is settled: %+v", u.Edges)
	}
	m.Add(flow(60, api.Forwarded, security(), vip()))
	if u, _, _ = m.Changes(version); u.Edges[0].Settled {
		t.Error("settled although the receiver fell silent")
	}
}

func TestEndedFlowsAddWhatTheyCarried(t *testing.T) {
	m := concert()
	m.Add(flow(1, api.Admitted, security(), vip()))
	over := flow(9, api.Over, security(), vip())
	over.Ended = &api.Ended{Sent: api.Carried{Packets: 3, Bytes: 300}, Answered: api.Carried{Packets: 2, Bytes: 900}}
	m.Add(over)
	sender := *over // tells the same
	sender.Node = "other"
	m.Add(&sender)
	u := all(t, m)
	if e := u.Edges[0]; len(u.Edges) != 1 || e.Sent.Bytes != 300 || e.Answered.Packets != 2 || e.Count != 1 {
		t.Errorf("%+v", u.Edges)
	}
}

func TestEndsThatAreNoPods(t *testing.T) {
	m := concert()
	m.Add(flow(1, api.Admitted, end("", "192.0.2.7", 40000, identity.World), vip()))
	gone := end("late-1", "10.244.2.9", 40000, 1009)
	gone.Labels = map[string]string{"app": "late"}
	m.Add(flow(2, api.Admitted, gone, vip()))
	sibling := end("vip-7d-9", "10.244.1.9", 80, 1001) // a pod that is newer than the inventory
	m.Add(flow(3, api.Admitted, security(), sibling))
	from := map[string]string{}
	for _, e := range all(t, m).Edges {
		from[e.From] = e.To
	}
	want := map[string]string{"/Outside/world": vipID, "concert/Pods/late": vipID, securityID: vipID}
	if diff := cmp.Diff(want, from); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	m.SetInventory(flowmap.Inventory{})
	if u := all(t, m); len(u.Workloads) != 4 || len(u.Workloads[1].Pods) != 0 {
		t.Errorf("workloads of edges are gone with their pods: %+v", u.Workloads)
	}
}

// A reader learns what changed, and nothing twice.
func TestChanges(t *testing.T) {
	m := concert()
	m.Add(flow(1, api.Admitted, security(), vip()))
	_, version, _ := m.Changes(0)
	if _, _, changed := m.Changes(version); changed {
		t.Error("told twice")
	}
	m.Add(flow(2, api.Dropped, security(), vip()))
	u, version, _ := m.Changes(version)
	if u.Full || len(u.Edges) != 1 || u.Workloads != nil {
		t.Errorf("%+v", u)
	}
	m.SetNode("worker", flowmap.Failed, "no answer")
	m.AddLost("worker", flowmap.Lost{TooFast: 7})
	m.SetNode("left", flowmap.Live, "")
	m.KeepNodes([]string{"worker"})
	u, _, _ = m.Changes(version)
	want := []flowmap.Node{{Node: "worker", State: "failed", Error: "no answer", Lost: flowmap.Lost{TooFast: 7}}}
	if diff := cmp.Diff(want, u.Nodes); diff != "" || len(u.Edges) != 0 {
		t.Errorf("edges %+v, nodes -want +got:\n%s", u.Edges, diff)
	}
}

// Whatever comes, a map stays small, says so, and tells old readers to forget.
func TestBounds(t *testing.T) {
	m := concert()
	var version uint64
	for i := range flowmap.MaxEdges + 50 {
		src := end(fmt.Sprint("p", i), "10.244.3.3", 1, identity.ID(5000+i))
		src.Labels = map[string]string{"app": fmt.Sprint("a", i)}
		m.Add(flow(i, api.Admitted, src, vip()))
		if i == 10 {
			_, version, _ = m.Changes(0)
		}
	}
	u, _, _ := m.Changes(version)
	if !u.Full || len(u.Edges) > flowmap.MaxEdges || u.Forgotten == 0 || len(u.Workloads) > len(u.Edges)+3 {
		t.Errorf("full %t, %d edges, %d workloads, %d forgotten", u.Full, len(u.Edges), len(u.Workloads), u.Forgotten)
	}
	for port := range 100 {
		dst := vip()
		dst.Port = uint16(port + 1)
		m.Add(flow(9999, api.Dropped, security(), dst))
	}
	for _, e := range all(t, m).Edges {
		known := e.Uncounted
		for _, c := range e.Cases {
			known += c.Count
		}
		if e.Verdict == api.Dropped && (known != e.Count || len(e.Cases) > 30 || len(e.Samples) > 10) {
			t.Errorf("%d cases with %d of %d verdicts, %d samples", len(e.Cases), known, e.Count, len(e.Samples))
		}
	}
}

func TestNamesByLabels(t *testing.T) {
	m := flowmap.New()
	m.SetInventory(flowmap.Inventory{Pods: []api.Endpoint{
		endpoint("a", "10.244.1.1", 1, map[string]string{"app": "web", "tier": "front"}),
		endpoint("b", "10.244.1.2", 2, map[string]string{"tier": "front", "zone": "z"}),
		endpoint("c", "10.244.1.3", 3, nil),
	}})
	var names []string
	for _, w := range all(t, m).Workloads {
		names = append(names, w.Name)
	}
	if got := strings.Join(names, " "); got != "c tier=front,zone=z web" {
		t.Errorf("names %q", got)
	}
}
