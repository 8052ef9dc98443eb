package datapath

import (
	"net/netip"
	"slices"
	"testing"
)

// detour leads to the far node by the second device, or to nobody.
func detour(prefixes ...netip.Prefix) action {
	return func(n *node) string {
		_, err := n.SetDetours(prefixes)
		must(n.t, err)
		return ""
	}
}

// hostAction is what to_overlay says of a process's packet: on by the device
// that the route names, or to another.
func hostAction(p ipv4) action {
	return func(n *node) string {
		if n.toOverlay(n.form(p), "").action == actionRedirect {
			return "redirect"
		}
		return "next"
	}
}

func TestDetours(t *testing.T) {
	toFar, toThird := udp(ownHost+":1", addrFar+":2"), udp(ownHost+":1", addrThird+":2")
	back := tcp(addrFar+":80", addrS+":4000", "SA")
	tell(t, []story{
		{"the host's packets change the device", []step{
			{hostAction(toFar), "next"},
			{detour(farPrefix, farPrefix6), ""},
			{hostAction(toFar), "redirect"},
			{hostAction(toThird), "next"},
			{detour(), ""},
			{hostAction(toFar), "next"},
		}},
		{"both devices are the tunnel, no other is", []step{
			{pod(podS(), tcp(addrS+":4000", addrFar+":80", "S")), "stack"},
			{host("podS", tcp(addrS+":4000", addrFar+":80", "S")), "tunnel"},
			{farReply(idFar, back), "pod"},
			{deliver(podS(), "detour", back), "pod"},
			{deliver(podS(), "uplink", back), "untrusted-path"},
		}},
	})
}

// A new agent finds the detours that the one before it has set.
func TestDetoursOutliveTheAgent(t *testing.T) {
	n := newNode(t)
	_, err := n.SetDetours([]netip.Prefix{farPrefix})
	must(t, err)
	_, err = n.SetAttested(nil, Enforce)
	must(t, err)
	n = n.reopen()
	if got := n.Detours(); !slices.Equal(got, []netip.Prefix{farPrefix}) {
		t.Errorf("detours %v, want %s", got, farPrefix)
	}
	if n.settings.Detours != 1 || n.settings.Attestation != uint32(Enforce) {
		t.Errorf("settings %+v", n.settings)
	}
	changed, err := n.SetDetours([]netip.Prefix{farPrefix})
	must(t, err)
	if changed {
		t.Error("the same again changes something")
	}
}
