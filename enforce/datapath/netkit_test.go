package datapath

import "testing"

// netkit runs from_pod before any device has taken the packet in.
func (n *node) fromNetkit(ep Endpoint, packet []byte) result {
	n.t.Helper()
	frame := ethernet(ep.MAC, ep.HostMAC, etherType(packet), packet)
	return n.run(Hook(bpfHookHOOK_FROM_POD), n.objs.FromPod, frame, skb{Ifindex: uint32(ep.IfIndex)})
}

// deliveredTo runs to_pod on what a hook made, as it comes by a device, or "".
func (n *node) deliveredTo(ep Endpoint, r result, device string) result {
	n.t.Helper()
	in := skb{Ifindex: uint32(ep.IfIndex), IngressIfindex: uint32(interfaces[device]), Mark: r.mark}
	return n.run(Hook(bpfHookHOOK_TO_POD), n.objs.ToPod, r.frame, in)
}

// TestNetkitDelivery: what goes from a netkit pod to another pod of the node is
// done when it comes to to_pod, also for a limited one, and to no other packet
// the mark is of any use.
func TestNetkitDelivery(t *testing.T) {
	n := newNode(t)
	for _, to := range []Endpoint{podB(), podS()} {
		r := n.fromNetkit(podA(), udp(addrA+":1000", to.Addr.String()+":80").bytes())
		if r.action != actionRedirect || r.mark != uint32(bpfMarkMARK_DELIVERED) {
			t.Fatalf("to %s: action %d, mark %#x", to.Addr, r.action, r.mark)
		}
		if got := n.deliveredTo(to, r, ""); got.action != actionNext {
			t.Errorf("to %s: to_pod: %s", to.Addr, got)
		}
		if got := n.deliveredTo(to, r, "uplink"); got.String() != "spoofed-address" {
			t.Errorf("to %s, from outside with the mark: %s", to.Addr, got)
		}
	}
	if r := n.fromNetkit(podA(), udp(addrA+":1000", addrFar+":80").bytes()); r.String() != "tunnel" {
		t.Errorf("to another node: %s", r)
	}
	if r := n.fromNetkit(podA(), udp(addrA+":1000", world+":80").bytes()); r.String() != "stack" || r.mark != 0 {
		t.Errorf("to the world: %s, mark %#x", r, r.mark)
	}
}

// TestNetkitDrop: a drop is counted, and the sender is not told, as the action
// for a drop would.
func TestNetkitDrop(t *testing.T) {
	n := newNode(t)
	r := n.fromNetkit(podA(), udp(addrB+":1000", addrFar+":80").bytes())
	if reason := n.dropped(); r.action != actionRedirect || r.mark != 0 || reason.String() != "spoofed-address" {
		t.Errorf("action %d, mark %#x, counted as %s", r.action, r.mark, reason)
	}
}
