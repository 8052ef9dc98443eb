package datapath

import (
	"errors"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/ringbuf"
	"github.com/gopacket/gopacket/layers"

	"github.com/signet-cni/signet/enforce/policy"
	"github.com/signet-cni/signet/enforce/service"
	"github.com/signet-cni/signet/identity"
)

// events reads what is in the ring.
func (n *node) events() []Event {
	n.t.Helper()
	ring, err := n.Events()
	must(n.t, err)
	defer ring.Close()
	ring.ring.(*ringbuf.Reader).SetDeadline(time.Now())
	var list []Event
	for {
		e, err := ring.Next()
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return list
		}
		must(n.t, err)
		list = append(list, e)
	}
}

// oneVerdict fails the test unless the ring holds just as many verdicts.
func verdicts(want int) action {
	return func(n *node) string {
		n.t.Helper()
		if list := n.events(); len(list) != want {
			n.t.Errorf("%d verdicts, want %d: %+v", len(list), want, list)
		}
		return ""
	}
}

func ignoreEvents(n *node) string {
	n.events()
	return ""
}

// Packets that pass two hooks of the node and the host stack in between.
func TestThroughTheStack(t *testing.T) {
	toS := tcp(addrFar+":4000", addrS+":80", "S")
	fromS := tcp(addrS+":80", addrFar+":4000", "SA")
	backendS := netip.MustParseAddrPort(addrS + ":8080")
	onHostPort, behind := tcp(addrFar+":4000", ownHost+":8080", "S"), tcp(addrFar+":4000", addrB+":80", "S")
	tell(t, []story{
		{"the far pod and a shaped pod", []step{
			{ignoreEvents, ""},
			{far(idFar, toS), "pod"},
			{deliver(podS(), "overlay", toS), "pod"},
			{pod(podS(), fromS), "stack"},
			{host("podS", fromS), "tunnel-reply"},
			{far(idFar, tcp(addrFar+":4000", addrS+":80", "A")), "pod"},
			{deliver(podS(), "overlay", tcp(addrFar+":4000", addrS+":80", "A")), "pod"},
			{verdicts(1), ""},
		}},
		{"a shaped pod and the far pod", []step{
			{ignoreEvents, ""},
			{pod(podS(), tcp(addrS+":4000", addrFar+":80", "S")), "stack"},
			{host("podS", tcp(addrS+":4000", addrFar+":80", "S")), "tunnel"},
			{farReply(idFar, tcp(addrFar+":80", addrS+":4000", "SA")), "pod"},
			{deliver(podS(), "overlay", tcp(addrFar+":80", addrS+":4000", "SA")), "pod"},
			{verdicts(1), ""},
		}},
		{"a shaped pod and another node", []step{
			{pod(podS(), tcp(addrS+":4000", farHost+":80", "S")), "tunnel"},
			{farReply(identity.Host, tcp(farHost+":80", addrS+":4000", "SA")), "pod"},
			{deliver(podS(), "overlay", tcp(farHost+":80", addrS+":4000", "SA")), "pod"},
		}},
		{"a pod and a shaped pod behind a Service", []step{
			{serves(on(policy.TCP, backendS)), ""},
			{podSees(podA(), tcp(addrA+":4000", vip+":80", "S")), "pod " + addrA + ":4000>" + addrS + ":8080"},
			{deliver(podS(), "podA", tcp(addrA+":4000", addrS+":8080", "S")), "pod"},
			{pod(podS(), tcp(addrS+":8080", addrA+":4000", "SA")), "stack"},
			{deliverSees(podA(), "podS", tcp(addrS+":8080", addrA+":4000", "SA")), "pod " + vip + ":80>" + addrA + ":4000"},
		}},
		{"a shaped pod that was judged is not judged by another's word", []step{
			{pod(podS(), tcp(addrS+":4000", addrB+":80", "S")), "stack"},
			{deliver(podB(), "podA", tcp(addrS+":4000", addrB+":80", "S")), "spoofed-address"},
			{host("podA", tcp(addrS+":4000", addrFar+":80", "S")), "spoofed-address"},
		}},
		{"the far pod and a port of the node with a pod behind it", []step{
			{loads(ingress(openTable(), idB, idFar)), ""},
			{ignoreEvents, ""},
			{far(idFar, onHostPort), "stack"},
			{deliver(podB(), "overlay", behind), "pod"},
			{pod(podB(), tcp(addrB+":80", addrFar+":4000", "SA")), "stack"},
			{host("podB", tcp(ownHost+":8080", addrFar+":4000", "SA")), "tunnel-reply"},
			{far(idFar, tcp(addrFar+":4000", ownHost+":8080", "A")), "stack"},
			{deliver(podB(), "overlay", tcp(addrFar+":4000", addrB+":80", "A")), "pod"},
			{host("podB", tcp(ownHost+":8080", addrFar+":4000", "A")), "tunnel-reply"},
			{far(idFar, tcp(addrFar+":4000", ownHost+":8080", "A")), "stack"},
			{verdicts(2), ""},
		}},
		{"such a port is judged as its pod", []step{
			{loads(ingress(openTable(), idB, idOther)), ""},
			{far(idFar, onHostPort), "stack"},
			{deliver(podB(), "overlay", behind), "policy-ingress"},
		}},
		{"a pod and such a port", []step{
			{pod(podA(), tcp(addrA+":4000", ownHost+":8080", "S")), "stack"},
			{deliver(podB(), "podA", tcp(addrA+":4000", addrB+":80", "S")), "pod"},
			{pod(podB(), tcp(addrB+":80", addrA+":4000", "SA")), "stack"},
			{deliver(podA(), "podB", tcp(ownHost+":8080", addrA+":4000", "SA")), "pod"},
		}},
		{"a NodePort that the node masquerades, on its way out and back", []step{
			{host("uplink", tcp(ownHost+":4000", addrFar+":80", "S")), "tunnel"},
			{farReply(idFar, tcp(addrFar+":80", ownHost+":4000", "SA")), "stack"},
		}},
		{"what left by the tunnel is not answered past it", []step{
			{pod(podA(), tcp(addrA+":4000", farHost+":80", "S")), "tunnel"},
			{deliver(podA(), "uplink", tcp(farHost+":80", addrA+":4000", "SA")), "untrusted-path"},
		}},
	})
}

// Identities as they are written into the tunnel.
func TestTaggedIdentity(t *testing.T) {
	n := newNode(t)
	for _, c := range []struct {
		device string
		want   identity.ID
	}{{"", identity.Host}, {"uplink", identity.World}, {"podB", identity.World}} {
		r := n.toOverlay(tcp(ownHost+":4000", addrFar+":80", "S").bytes(), c.device)
		p := r.packet()
		got := identity.ID(uint32(p[16])<<24 | uint32(p[17])<<16 | uint32(p[18])<<8 | uint32(p[19]))
		if r.String() != "tunnel" || got != c.want || r.mark != 0x53470000 {
			t.Errorf("from %q: %s, identity %s, mark %x", c.device, r, got, r.mark)
		}
	}
}

// Events say what happened, once a flow.
func TestEvents(t *testing.T) {
	n := newNode(t)
	serves(service.Service{Frontends: []service.Frontend{clusterIP}, Backends: []netip.AddrPort{backendB}})(n)
	n.setPolicy(ingress(openTable(), idB, idA))
	n.events()
	n.play(t, []step{
		{pod(podA(), tcp(addrA+":4000", vip+":80", "S")), "pod"},
		{pod(podB(), tcp(addrB+":8080", addrA+":4000", "SA")), "pod"},
		{pod(podA(), syn), "tunnel"},
		{far(idFar, tcp(addrFar+":1", addrB+":2", "S")), "policy-ingress"},
	})
	at := netip.MustParseAddrPort
	want := []Event{
		{
			Src: at(addrA + ":4000"), Dst: at(addrB + ":8080"), Service: at(vip + ":80"), Verdict: Admitted,
			Hook: Hook(bpfHookHOOK_FROM_POD), SrcIdentity: idA, DstIdentity: idB,
		},
		{
			Src: at(addrA + ":4000"), Dst: at(addrFar + ":80"), Verdict: Forwarded,
			Hook: Hook(bpfHookHOOK_FROM_POD), SrcIdentity: idA,
		},
		{
			Src: at(addrFar + ":1"), Dst: at(addrB + ":2"), Verdict: Dropped, SrcIdentity: idFar, DstIdentity: idB,
			Hook: Hook(bpfHookHOOK_FROM_OVERLAY), Reason: Reason(bpfReasonREASON_POLICY_INGRESS),
		},
	}
	got := n.events()
	if len(got) != len(want) {
		t.Fatalf("%d events: %+v", len(got), got)
	}
	for i, e := range got {
		if age := time.Since(e.Time); age < 0 || age > time.Minute {
			t.Errorf("event %d is %s old", i, age)
		}
		want[i].Time, want[i].Length = e.Time, e.Length
		want[i].Protocol, want[i].TCPFlags, want[i].Revision = 6, 2, n.Revision()
		if e != want[i] || e.Length < 50 {
			t.Errorf("event %d\n got %+v\nwant %+v", i, e, want[i])
		}
	}
}

// A flood of drops is counted in full, and reported in part.
func TestDropEventsAreLimited(t *testing.T) {
	n := newNode(t)
	n.events()
	before, err := n.EventLoss()
	must(t, err)
	const flood = 5000
	frame := ethernet(mac(1), mac(101), layers.EthernetTypeIPv4, tcp(addrB+":1", addrFar+":80", "S").bytes())
	_, err = n.objs.FromPod.Run(&ebpf.RunOptions{Data: frame, Context: skb{Ifindex: uint32(interfaces["podA"]), IngressIfindex: uint32(interfaces["podA"])}, Repeat: flood})
	must(t, err)
	after, err := n.EventLoss()
	must(t, err)
	sent := uint64(len(n.events()))
	if suppressed := after.Suppressed - before.Suppressed; sent == 0 || suppressed == 0 || sent+suppressed != flood {
		t.Errorf("%d drops: %d events, %d suppressed", flood, sent, suppressed)
	}
}
