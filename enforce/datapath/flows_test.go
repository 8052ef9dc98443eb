package datapath

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/signet-cni/signet/enforce/service"
)

// after makes a collector believe that so much time has passed since it read
// the clock.
func after(c *FlowCollector, later time.Duration) *FlowCollector {
	c.now = func() (time.Time, uint64, error) {
		wall, mono, err := coarseNow()
		return wall.Add(later), mono + uint64(later), err
	}
	return c
}

func collect(t *testing.T, c *FlowCollector) []Flow {
	t.Helper()
	ended, _, err := c.Collect()
	must(t, err)
	return ended
}

// sized is packets as they are counted.
func sized(packets ...ipv4) (count FlowCount) {
	for _, p := range packets {
		count.Packets++
		count.Bytes += uint64(len(p.bytes()))
	}
	return count
}

// Each packet counts once, whatever way it takes through the hooks.
func TestFlowCounters(t *testing.T) {
	shapedSyn, shapedAnswer := tcp(addrA+":4000", addrS+":80", "S"), tcp(addrS+":80", addrA+":4000", "SA")
	own, more := tcp(ownHost+":4000", addrFar+":80", "S"), tcp(ownHost+":4000", addrFar+":80", "A")
	worldSyn, worldAnswer := tcp(world+":4000", addrA+":80", "S"), tcp(addrA+":80", world+":4000", "SA")
	n := newNode(t)
	for _, c := range []struct {
		name           string
		do             []action
		sent, answered FlowCount
	}{
		{"through the tunnel", []action{
			pod(podA(), syn), farReply(idFar, synAck), pod(podA(), ack), pod(podA(), ack), farReply(idFar, backAck),
		}, sized(syn, ack, ack), sized(synAck, backAck)},
		{"from the tunnel", []action{
			far(idFar, farSyn), pod(podA(), ownSynAck), far(idFar, farAck),
		}, sized(farSyn, farAck), sized(ownSynAck)},
		{"to a shaped pod and back", []action{
			pod(podA(), shapedSyn), deliver(podS(), "podA", shapedSyn), pod(podS(), shapedAnswer), deliver(podA(), "podS", shapedAnswer),
		}, sized(shapedSyn), sized(shapedAnswer)},
		{"from the world", []action{
			deliver(podA(), "uplink", worldSyn), pod(podA(), worldAnswer),
		}, sized(worldSyn), sized(worldAnswer)},
		{"from the host into the tunnel", []action{host("", own), host("", more)}, sized(own, more), FlowCount{}},
		{"judged anew", []action{
			pod(podA(), tcp(addrA+":4000", addrB+":80", "S")), loads(ingress(openTable(), idA)),
			pod(podA(), tcp(addrA+":4000", addrB+":80", "A")), pod(podB(), tcp(addrB+":80", addrA+":4000", "A")),
		}, sized(syn, ack), sized(ack)},
	} {
		t.Run(c.name, func(t *testing.T) {
			n.t = t
			n.reset()
			for _, do := range c.do {
				do(n)
			}
			ended := collect(t, after(n.FlowCollector(), 25*time.Hour))
			if len(ended) != 1 || ended[0].Sent != c.sent || ended[0].Answered != c.answered {
				t.Errorf("%+v, want sent %v, answered %v", ended, c.sent, c.answered)
			}
		})
	}
}

func TestCollect(t *testing.T) {
	n := newNode(t)
	serves(service.Service{Namespace: "a", Name: "web", Frontends: []service.Frontend{clusterIP}, Backends: []netip.AddrPort{backendB}})(n)
	ask, answer := tcp(addrA+":4000", vip+":80", "S"), tcp(addrB+":8080", addrA+":4000", "SA")
	fin := tcp(addrA+":4000", vip+":80", "FA")
	n.play(t, []step{{pod(podA(), ask), "pod"}, {pod(podB(), answer), "pod"}})
	c := n.FlowCollector()
	if ended := collect(t, c); len(ended) != 0 {
		t.Fatalf("a new connection has ended: %+v", ended)
	}
	if ended := collect(t, after(c, time.Hour)); len(ended) != 0 {
		t.Fatalf("an idle connection has ended after an hour: %+v", ended)
	}
	n.play(t, []step{{pod(podA(), fin), "pod"}})
	ended := collect(t, after(c, 10*time.Second))
	want := []Flow{{
		Src: netip.MustParseAddrPort(addrA + ":4000"), Dst: backendB, Service: netip.MustParseAddrPort(vip + ":80"),
		Protocol: 6, SrcIdentity: idA, DstIdentity: idB, Judged: true, Sent: sized(ask, fin), Answered: sized(answer),
	}}
	ignore := cmpopts.IgnoreFields(Flow{}, "Opened", "Seen", "Revision")
	if diff := cmp.Diff(want, ended, ignore, cmpopts.EquateComparable(netip.AddrPort{})); diff != "" {
		t.Errorf("closed (-want +got):\n%s", diff)
	}
	if age := time.Since(ended[0].Opened); age < 0 || age > time.Minute {
		t.Errorf("opened %v ago", age)
	}
	if again := collect(t, c); len(again) != 0 {
		t.Errorf("told twice: %+v", again)
	}
	if again, left, err := after(c, 2*time.Minute).Collect(); err != nil || len(again) != 0 || left != 1 {
		t.Errorf("told when it was removed: %+v, %d left, %v; want the Service's choice alone", again, left, err)
	}
}

func TestUsage(t *testing.T) {
	n := newNode(t)
	usage, err := n.Usage()
	must(t, err)
	got := map[string]int{}
	for _, u := range usage {
		if u.Max <= 0 {
			t.Errorf("%s has no limit", u.Name)
		}
		got[u.Name] = u.Entries
	}
	if got["endpoints"] != 6 || got["locations"] != len(testLocations()) || got["hosts"] != len(testHosts) || got["fragments"] != 0 {
		t.Errorf("usage %v", usage)
	}
	n.play(t, []step{{pod(podA(), udp(addrA+":4000", addrFar+":53").fragments(7, 8)[0]), "tunnel"}})
	if usage, err = n.Usage(); err != nil || !slices.Contains(usage, Usage{"fragments", 1, 8192}) {
		t.Errorf("after a first fragment: %v, %v", usage, err)
	}
}
