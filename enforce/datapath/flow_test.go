package datapath

import (
	"encoding/binary"
	"testing"

	"github.com/signet-cni/signet/identity"
)

// Packets of flows between A and the far pod, in both directions.
var (
	syn     = tcp(addrA+":4000", addrFar+":80", "S") // A opens
	ack     = tcp(addrA+":4000", addrFar+":80", "A")
	synAck  = tcp(addrFar+":80", addrA+":4000", "SA")
	backAck = tcp(addrFar+":80", addrA+":4000", "A")

	farSyn    = tcp(addrFar+":4000", addrA+":80", "S") // the far pod opens
	farAck    = tcp(addrFar+":4000", addrA+":80", "A")
	ownSynAck = tcp(addrA+":80", addrFar+":4000", "SA")
	ownAck    = tcp(addrA+":80", addrFar+":4000", "A")
)

// The REPLY bit is set for what was admitted here, and needed for what was
// opened here.
func TestReplies(t *testing.T) {
	closed := loads(ingress(openTable(), idA))
	tell(t, []story{
		{"to a flow of this node", []step{
			{closed, ""},
			{pod(podA(), syn), "tunnel"},
			{far(idFar, synAck), "policy-ingress"},
			{farReply(idFar, synAck), "pod"},
			{pod(podA(), ack), "tunnel"},
			{farReply(idFar, backAck), "pod"},
		}},
		{"to a flow of the far node", []step{
			{far(idFar, farSyn), "pod"},
			{pod(podA(), ownSynAck), "tunnel-reply"},
			{far(idFar, farAck), "pod"},
			{pod(podA(), ownAck), "tunnel-reply"},
		}},
		{"forged here: a far pod that opened nothing gets no REPLY bit", []step{
			{pod(podA(), ownSynAck), "tunnel"},
			{pod(podA(), ownAck), "tunnel"},
		}},
		{"forged there: by a node that was not asked", []step{
			{pod(podA(), syn), "tunnel"},
			{onlyIPv4(tunnelled(thirdPrefix, idOther, true, synAck)), "tunnel-source"},
			{tunnelled(thirdPrefix, idOther, true, tcp(addrThird+":80", addrA+":4000", "SA")), "reply-without-flow"},
			{farReply(idFar, tcp(addrFar+":81", addrA+":4000", "SA")), "reply-without-flow"},
			{farReply(idFar, tcp(addrFar2+":80", addrA+":4000", "SA")), "reply-without-flow"},
		}},
		{"forged both ways: neither may reach the other", []step{
			{loads(ingress(ingress(openTable(), idA), idFar)), ""},
			{pod(podA(), syn), "tunnel"},           // dropped by the far node
			{far(idFar, synAck), "policy-ingress"}, // as the far node did not admit it
			{far(idFar, farSyn), "policy-ingress"}, // nor may the far pod open
			{pod(podA(), ownSynAck), "tunnel"},     // so this is no reply
			{far(idFar, farAck), "policy-ingress"}, // and this no answer
		}},
		{"the opener's packets are not vouched", []step{
			{far(idFar, farSyn), "pod"},
			{farReply(idFar, farAck), "reply-without-flow"},
		}},
		{"UDP", []step{
			{closed, ""},
			{pod(podA(), udp(addrA+":4000", addrFar+":53")), "tunnel"},
			{far(idFar, udp(addrFar+":53", addrA+":4000")), "policy-ingress"},
			{farReply(idFar, udp(addrFar+":53", addrA+":4000")), "pod"},
		}},
		{"echo", []step{
			{closed, ""},
			{pod(podA(), echo(addrA+":7", addrFar+":0")), "tunnel"},
			{farReply(idFar, echoReply(addrFar+":0", addrA+":7")), "pod"},
			{farReply(idFar, echoReply(addrFar+":0", addrA+":8")), "reply-without-flow"},
			{far(idFar, echo(addrFar+":7", addrA+":0")), "policy-ingress"},
		}},
		{"SCTP", []step{
			{closed, ""},
			{pod(podA(), sctp(addrA+":4000", addrFar+":80")), "tunnel"},
			{far(idFar, sctp(addrFar+":80", addrA+":4000")), "policy-ingress"},
			{farReply(idFar, sctp(addrFar+":80", addrA+":4000")), "pod"},
		}},
		{"a protocol without ports", []step{
			{closed, ""},
			{pod(podA(), numbered(47)), "tunnel"},
			{farReply(idFar, ipv4{header: swapped(numbered(47)).header}), "pod"},
		}},
	})
}

func swapped(p ipv4) ipv4 {
	p.header.SrcIP, p.header.DstIP = p.header.DstIP, p.header.SrcIP
	return p
}

// A change of policy or labels takes effect on the next packet of a live flow,
// whichever way it goes, and disturbs nothing that is still allowed.
func TestRejudgement(t *testing.T) {
	shut := loads(ingress(openTable(), idA))
	opened := []step{{far(idFar, farSyn), "pod"}, {pod(podA(), ownSynAck), "tunnel-reply"}, {far(idFar, farAck), "pod"}}
	local := []step{
		{pod(podB(), tcp(addrB+":4000", addrA+":80", "S")), "pod"},
		{pod(podA(), tcp(addrA+":80", addrB+":4000", "SA")), "pod"},
	}
	tell(t, []story{
		{"revoked: the opener's packet", append(opened,
			step{shut, ""}, step{far(idFar, farAck), "policy-ingress"}, step{pod(podA(), ownAck), "policy-ingress"})},
		{"revoked: the answer", append(opened,
			step{shut, ""}, step{pod(podA(), ownAck), "policy-ingress"}, step{far(idFar, farAck), "policy-ingress"})},
		{"revoked by egress of the far pod", append(opened,
			step{loads(egress(openTable(), idFar)), ""}, step{far(idFar, farAck), "policy-egress"})},
		{"revoked and admitted again", append(opened,
			step{shut, ""}, step{far(idFar, farAck), "policy-ingress"},
			step{loads(openTable()), ""}, step{far(idFar, farAck), "pod"}, step{pod(podA(), ownAck), "tunnel-reply"})},
		{"undisturbed", append(opened,
			step{loads(ingress(openTable(), idA, idFar)), ""}, step{pod(podA(), ownAck), "tunnel-reply"},
			step{loads(ingress(egress(openTable(), idA), idA, idFar)), ""}, step{far(idFar, farAck), "pod"},
			step{pod(podA(), ownAck), "tunnel-reply"})},
		{"undisturbed: opened here, though the policy now forbids the far pod to open", []step{
			{pod(podA(), syn), "tunnel"},
			{farReply(idFar, synAck), "pod"},
			{shut, ""},
			{farReply(idFar, backAck), "pod"},
			{pod(podA(), ack), "tunnel"},
			{farReply(idFar, backAck), "pod"},
		}},
		{"source's labels", append(opened,
			step{loads(ingress(openTable(), idA, idFar)), ""}, step{far(idFar, farAck), "pod"},
			step{far(idOther, farAck), "policy-ingress"}, step{far(idFar, farAck), "pod"})},
		{"source's labels, still allowed", append(opened,
			step{far(idOther, farAck), "pod"}, step{pod(podA(), ownAck), "tunnel-reply"})},
		{"destination's labels, its packet", append(opened,
			step{loads(ingress(openTable(), idOther)), ""}, step{relabels(podA(), idOther), ""},
			step{pod(podA(), ownAck), "policy-ingress"}, step{far(idFar, farAck), "policy-ingress"})},
		{"destination's labels, the opener's packet", append(opened,
			step{loads(ingress(openTable(), idOther)), ""}, step{relabels(podA(), idOther), ""},
			step{far(idFar, farAck), "policy-ingress"})},
		{"local", append(local,
			step{shut, ""}, step{pod(podB(), tcp(addrB+":4000", addrA+":80", "A")), "policy-ingress"})},
		{"local, the answer", append(local,
			step{shut, ""}, step{pod(podA(), tcp(addrA+":80", addrB+":4000", "A")), "policy-ingress"})},
		{"local, undisturbed", append(local,
			step{loads(egress(ingress(openTable(), idA, idB), idA)), ""},
			step{pod(podA(), tcp(addrA+":80", addrB+":4000", "A")), "pod"},
			step{pod(podB(), tcp(addrB+":4000", addrA+":80", "A")), "pod"})},
		{"local, source's labels", append(local,
			step{loads(ingress(openTable(), idA, idB)), ""}, step{relabels(podB(), idOther), ""},
			step{pod(podB(), tcp(addrB+":4000", addrA+":80", "A")), "policy-ingress"})},
		{"local, source's labels, the answer", append(local,
			step{loads(ingress(openTable(), idA, idB)), ""}, step{relabels(podB(), idOther), ""},
			step{pod(podA(), tcp(addrA+":80", addrB+":4000", "A")), "policy-ingress"})},
		{"to the world", []step{
			{pod(podA(), tcp(addrA+":4000", world+":443", "S")), "stack"},
			{deliver(podA(), "uplink", tcp(world+":443", addrA+":4000", "SA")), "pod"},
			{loads(egress(openTable(), idA)), ""},
			{deliver(podA(), "uplink", tcp(world+":443", addrA+":4000", "A")), "policy-egress"},
			{pod(podA(), tcp(addrA+":4000", world+":443", "A")), "policy-egress"},
		}},
	})
}

// Which packets are answers, where nothing but their ports and flags tells.
func TestDirection(t *testing.T) {
	tell(t, []story{
		{"an answer opens nothing", []step{
			{loads(ingress(openTable(), idB)), ""},
			{pod(podB(), tcp(addrB+":4000", addrA+":80", "S")), "pod"},
			{pod(podA(), tcp(addrA+":80", addrB+":4000", "SA")), "pod"},
			{pod(podA(), tcp(addrA+":80", addrB+":4000", "S")), "policy-ingress"},
			{pod(podA(), tcp(addrA+":80", addrB+":4001", "A")), "policy-ingress"},
			{pod(podA(), tcp(addrA+":80", addrB+":4000", "A")), "pod"},
		}},
		{"the same ports in UDP and TCP", []step{
			{loads(ingress(openTable(), idB)), ""},
			{pod(podB(), tcp(addrB+":4000", addrA+":80", "S")), "pod"},
			{pod(podA(), udp(addrA+":80", addrB+":4000")), "policy-ingress"},
			{pod(podA(), sctp(addrA+":80", addrB+":4000")), "policy-ingress"},
		}},
		{"equal ports at both ends", []step{
			{loads(ingress(openTable(), idB)), ""},
			{pod(podB(), udp(addrB+":500", addrA+":500")), "pod"},
			{pod(podA(), udp(addrA+":500", addrB+":500")), "pod"},
		}},
		{"port reuse by the other end", []step{
			{far(idFar, farSyn), "pod"},
			{pod(podA(), ownSynAck), "tunnel-reply"},
			{far(idFar, tcp(addrFar+":4000", addrA+":80", "FA")), "pod"},
			{pod(podA(), tcp(addrA+":80", addrFar+":4000", "FA")), "tunnel-reply"},
			{pod(podA(), tcp(addrA+":80", addrFar+":4000", "S")), "tunnel"},
			{farReply(idFar, tcp(addrFar+":4000", addrA+":80", "SA")), "pod"},
			{pod(podA(), tcp(addrA+":80", addrFar+":4000", "A")), "tunnel"},
		}},
		{"port reuse is judged again", []step{
			{far(idFar, farSyn), "pod"},
			{far(idOther, farSyn), "pod"},
			{loads(ingress(openTable(), idA, idFar)), ""},
			{far(idOther, farSyn), "policy-ingress"},
		}},
		{"evicted, opened by the far pod", []step{
			{far(idFar, farSyn), "pod"},
			{forgets, ""},
			{pod(podA(), ownAck), "tunnel"},
			{far(idFar, farAck), "pod"},
			{pod(podA(), ownAck), "tunnel-reply"},
		}},
		{"evicted, opened here", []step{
			{loads(ingress(openTable(), idA)), ""},
			{pod(podA(), syn), "tunnel"},
			{forgets, ""},
			{farReply(idFar, synAck), "reply-without-flow"},
			{pod(podA(), ack), "tunnel"},
			{farReply(idFar, backAck), "pod"},
		}},
		{"idle", []step{
			{loads(ingress(openTable(), idA)), ""},
			{pod(podA(), udp(addrA+":4000", addrFar+":53")), "tunnel"},
			{idles(170), ""},
			{farReply(idFar, udp(addrFar+":53", addrA+":4000")), "pod"},
			{idles(190), ""},
			{farReply(idFar, udp(addrFar+":53", addrA+":4000")), "reply-without-flow"},
		}},
		{"idle TCP, answered and closing", []step{
			{pod(podA(), syn), "tunnel"},
			{farReply(idFar, synAck), "pod"},
			{idles(80000), ""},
			{farReply(idFar, backAck), "pod"},
			{farReply(idFar, tcp(addrFar+":80", addrA+":4000", "FA")), "pod"},
			{idles(70), ""},
			{farReply(idFar, backAck), "reply-without-flow"},
		}},
	})
}

// idles makes every flow's last packet be so many seconds old.
func idles(seconds uint64) action {
	return func(n *node) string {
		var key bpfFlowKey
		var flow bpfFlow
		aged := map[bpfFlowKey]bpfFlow{}
		entries := n.objs.Flows.Iterate()
		for entries.Next(&key, &flow) {
			flow.Seen -= seconds * 1e9
			aged[key] = flow
		}
		must(n.t, entries.Err())
		for key, flow := range aged {
			must(n.t, n.objs.Flows.Put(key, flow))
		}
		return ""
	}
}

// Two ends that open the same flow at once, or whose nodes disagree on who
// opened it, find together.
func TestCrossingOpens(t *testing.T) {
	for _, kind := range []struct {
		name        string
		there, back ipv4
		on, onBack  ipv4
	}{
		{
			"TCP", tcp(addrA+":4000", addrFar+":80", "S"), tcp(addrFar+":80", addrA+":4000", "S"),
			tcp(addrA+":4000", addrFar+":80", "SA"), tcp(addrFar+":80", addrA+":4000", "SA"),
		},
		{
			"UDP", udp(addrA+":4000", addrFar+":80"), udp(addrFar+":80", addrA+":4000"),
			udp(addrA+":4000", addrFar+":80"), udp(addrFar+":80", addrA+":4000"),
		},
	} {
		for family, pair := range map[string]func(testing.TB) (*node, *node){"IPv4": newPair, "IPv6": newPair6} {
			t.Run(kind.name+" "+family, func(t *testing.T) {
				near, away := pair(t)
				crossingOpens(t, near, away, [2]ipv4{kind.there, kind.on}, [2]ipv4{kind.back, kind.onBack})
			})
		}
	}
}

// crossingOpens lets A and the far pod open a flow to each other at once; both
// give the packet that opens it, and one that goes on.
func crossingOpens(t *testing.T, near, away *node, ofA, ofFar [2]ipv4) {
	t.Helper()
	farPod := endpoint(addrFar, "podB", idFar, 4)
	there := near.fromPod(podA(), near.form(ofA[0]))
	back := away.fromPod(farPod, away.form(ofFar[0]))
	for range 3 {
		if a, b := near.fromOverlay(back.packet()), away.fromOverlay(there.packet()); a.String() != "pod" || b.String() != "pod" {
			t.Fatalf("crossing packets: %s here, %s there", a, b)
		}
		there = near.fromPod(podA(), near.form(ofA[1]))
		back = away.fromPod(farPod, away.form(ofFar[1]))
	}
	// The far pod's right to open goes; what A has opened goes on.
	near.setPolicy(ingress(openTable(), idA))
	there = near.fromPod(podA(), near.form(ofA[1]))
	if b := away.fromOverlay(there.packet()); there.String() != "tunnel" || b.String() != "pod" {
		t.Fatalf("after one direction was revoked: %s here, %s there", there, b)
	}
	back = away.fromPod(farPod, away.form(ofFar[1]))
	if a := near.fromOverlay(back.packet()); a.String() != "pod" {
		t.Fatalf("the answer: %s, then %s", back, a)
	}
}

// The local node, the world, and other nodes.
func TestHostsAndWorld(t *testing.T) {
	isolated := loads(ingress(egress(openTable(), idA), idA))
	toA := func(src string) ipv4 { return tcp(src+":4000", addrA+":80", "S") }
	tell(t, []story{
		{"the node's own processes always", []step{
			{isolated, ""},
			{deliver(podA(), "", toA(ownHost)), "pod"},
			{deliver(podA(), "", toA(world)), "pod"},
			{pod(podA(), tcp(addrA+":80", ownHost+":4000", "SA")), "stack"},
			{pod(podA(), tcp(addrA+":80", ownHost+":4000", "S")), "policy-egress"},
		}},
		{"the world is judged", []step{
			{deliver(podA(), "uplink", toA(world)), "pod"},
			{pod(podA(), tcp(addrA+":80", world+":4000", "SA")), "stack"},
			{isolated, ""},
			{deliver(podA(), "uplink", toA(world)), "policy-ingress"},
			{loads(ingress(openTable(), idA, identity.World)), ""},
			{deliver(podA(), "uplink", toA(world)), "pod"},
		}},
		{"what a node masquerades is the world", []step{
			{isolated, ""},
			{deliver(podA(), "uplink", toA(ownHost)), "policy-ingress"},
			{deliver(podA(), "uplink", toA(farHost)), "policy-ingress"},
			{far(identity.World, toA(farHost)), "policy-ingress"},
		}},
		{"other nodes are judged", []step{
			{far(identity.Host, toA(farHost)), "pod"},
			{pod(podA(), tcp(addrA+":80", farHost+":4000", "SA")), "tunnel-reply"},
			{isolated, ""},
			{far(identity.Host, toA(farHost)), "policy-ingress"},
			{far(identity.Host, echo(farHost+":4000", addrA+":0")), "policy-ingress"},
		}},
		{"a pod and another node", []step{
			{pod(podA(), tcp(addrA+":4000", farHost+":6443", "S")), "tunnel"},
			{farReply(identity.Host, tcp(farHost+":6443", addrA+":4000", "SA")), "pod"},
		}},
		{"a far pod and this node", []step{
			{far(idFar, tcp(addrFar+":4000", ownHost+":10250", "S")), "stack"},
			{host("", tcp(ownHost+":10250", addrFar+":4000", "SA")), "tunnel-reply"},
			{loads(egress(openTable(), idFar)), ""},
			{far(idFar, tcp(addrFar+":4000", ownHost+":10250", "A")), "policy-egress"},
			{host("", tcp(ownHost+":10250", addrFar+":4000", "A")), "policy-egress"},
		}},
		{"this node and a far pod", []step{
			{host("", tcp(ownHost+":4000", addrFar+":80", "S")), "tunnel"},
			{farReply(idFar, tcp(addrFar+":80", ownHost+":4000", "SA")), "stack"},
			{host("", tcp(ownHost+":4000", addrFar+":80", "A")), "tunnel"},
		}},
		{"two nodes", []step{
			{host("", tcp(ownHost+":4000", farHost+":80", "S")), "tunnel"},
			{farReply(identity.Host, tcp(farHost+":80", ownHost+":4000", "SA")), "stack"},
		}},
	})
}

// A full flow table forgets the oldest, and takes new flows all the same.
func TestFullFlowTable(t *testing.T) {
	n := newNode(t)
	size := int(n.objs.Flows.MaxEntries())
	keys, values := make([]bpfFlowKey, size), make([]bpfFlow, size)
	for i := range keys {
		binary.NativeEndian.PutUint64(keys[i].Low.Bytes[:], uint64(i)+1)
	}
	_, err := n.objs.Flows.BatchUpdate(keys, values, nil)
	must(t, err)
	n.play(t, []step{
		{pod(podA(), syn), "tunnel"},
		{farReply(idFar, synAck), "pod"},
		{far(idFar, farSyn), "pod"},
		{pod(podA(), ownSynAck), "tunnel-reply"},
	})
}
