package datapath

import (
	"net/netip"
	"testing"
)

// sameSlot has the slot of podA's address.
const sameSlot = "10.244.5.7"

func removes(addr string) action {
	return func(n *node) string {
		must(n.t, n.DeleteEndpoint(netip.MustParseAddr(addr)))
		return ""
	}
}

func adds(ep Endpoint) action {
	return func(n *node) string {
		must(n.t, n.SetEndpoint(ep))
		return ""
	}
}

// Two pods of which only one can have the slot that both addresses name.
func TestSharedSlot(t *testing.T) {
	second := endpoint(sameSlot, "podB", idB, 2)
	if slotOf(toAddr(second.Addr)) != slotOf(toAddr(podA().Addr)) {
		t.Fatalf("%s and %s have slots of their own", sameSlot, addrA)
	}
	fromA, fromSecond := tcp(addrA+":4000", world+":80", "S"), tcp(sameSlot+":4000", world+":80", "S")
	otherMAC := podA()
	otherMAC.MAC = mac(50)
	n := newNode(t)
	n.play(t, []step{
		{adds(second), ""},
		{pod(podA(), fromA), "stack"},
		{pod(second, fromSecond), "stack"},
		{pod(second, fromA), "spoofed-address"},
		{removes(addrA), ""},
		{pod(podA(), fromA), "spoofed-address"},
		{pod(second, fromSecond), "stack"},
		{adds(otherMAC), ""},
		{pod(podA(), fromA), "spoofed-mac"},
		{pod(otherMAC, fromA), "stack"},
		{removes(sameSlot), ""},
		{pod(second, fromSecond), "spoofed-address"},
		{pod(otherMAC, fromA), "stack"},
	})
}

// What an agent left that was killed between its writes does no harm, and its
// successor fills what is vacant.
func TestSlotsAfterACrash(t *testing.T) {
	n := newNode(t)
	slot := slotOf(toAddr(podA().Addr))
	for _, left := range []bpfEndpointSlot{
		{},
		{Addr: toAddr(podA().Addr)},
		{Addr: toAddr(podA().Addr), Live: 1},
		{Addr: toAddr(netip.MustParseAddr(sameSlot)), Endpoint: bpfEndpoint{Ifindex: uint32(podA().IfIndex)}, Live: 1},
	} {
		must(t, n.objs.EndpointSlots.Put(slot, left))
		n = n.reopen()
		var found bpfEndpointSlot
		must(t, n.objs.EndpointSlots.Lookup(slot, &found))
		want, err := toEndpoint(podA())
		must(t, err)
		if found.Live != 1 || found.Addr != toAddr(podA().Addr) || found.Endpoint != want {
			t.Errorf("after %+v the slot holds %+v", left, found)
		}
	}
}

// A flow with the world is followed without another look at its address, but
// only as long as nothing has changed of where that lives or comes from.
func TestKnownWorld(t *testing.T) {
	opens, follows := tcp(world+":4000", addrB+":80", "S"), tcp(world+":4000", addrB+":80", "A")
	moves := func(l Location) action {
		return func(n *node) string {
			locations := testLocations()
			for _, addr := range []netip.Addr{netip.MustParseAddr(world), six(netip.MustParseAddr(world))} {
				l.Host = 0
				locations[netip.PrefixFrom(addr, addr.BitLen())] = l
			}
			_, err := n.SetLocations(locations)
			must(n.t, err)
			return ""
		}
	}
	tell(t, []story{
		{"a world that becomes the cluster's", []step{
			{deliver(podB(), "uplink", opens), "pod"},
			{deliver(podB(), "uplink", follows), "pod"},
			{moves(Location{Kind: ClusterPods}), ""},
			{deliver(podB(), "uplink", follows), "untrusted-path"},
		}},
		{"a process of the node with the world's address", []step{
			{deliver(podB(), "uplink", opens), "pod"},
			{loads(ingress(openTable(), idB, idFar)), ""},
			{deliver(podB(), "uplink", follows), "policy-ingress"},
			{deliver(podB(), "", follows), "pod"},
		}},
	})
}
