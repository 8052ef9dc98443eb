package datapath

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/signet-cni/signet/identity"
)

// attests puts in force what is verified for the far node.
func attests(mode Attestation, ids ...identity.ID) action {
	return func(n *node) string {
		_, err := n.SetAttested(map[netip.Prefix][]identity.ID{farPrefix: ids}, mode)
		must(n.t, err)
		return ""
	}
}

// counts expects this many unattested packets since the story began.
func counts(n *node) func(want uint64) action {
	before, err := n.Unattested()
	must(n.t, err)
	return func(want uint64) action {
		return func(n *node) string {
			now, err := n.Unattested()
			must(n.t, err)
			if got := now.Packets - before.Packets; got != want {
				n.t.Errorf("%d unattested packets, want %d", got, want)
			}
			return ""
		}
	}
}

var farGoesOn = tcp(addrFar+":4000", addrA+":80", "A")

func TestAttestation(t *testing.T) {
	n := newNode(t)
	for _, c := range []struct {
		name  string
		steps func(counted func(uint64) action) []step
	}{
		{"audit admits and counts the first packet of a flow", func(counted func(uint64) action) []step {
			return []step{
				{attests(Audit, idOther), ""},
				{far(idFar, farOpens), "pod"},
				{counted(1), ""},
				{far(idFar, farGoesOn), "pod"},
				{counted(1), ""},
				{attests(Audit, idFar), ""},
				{far(idFar, farOpens), "pod"},
				{counted(1), ""},
			}
		}},
		{"enforce drops", func(counted func(uint64) action) []step {
			return []step{
				{attests(Enforce, idOther), ""},
				{far(idFar, farOpens), "unattested"},
				{counted(1), ""},
				{far(idFar, farGoesOn), "unattested"},
				{counted(2), ""},
				{attests(Enforce, idFar), ""},
				{far(idFar, farOpens), "pod"},
				{counted(2), ""},
			}
		}},
		{"enforce ends what audit let begin", func(counted func(uint64) action) []step {
			return []step{
				{attests(Audit), ""},
				{far(idFar, farOpens), "pod"},
				{attests(Enforce), ""},
				{far(idFar, farGoesOn), "unattested"},
			}
		}},
		{"an identity that is taken back ends its flows", func(counted func(uint64) action) []step {
			return []step{
				{attests(Enforce, idFar, idOther), ""},
				{far(idFar, farOpens), "pod"},
				{attests(Enforce, idOther), ""},
				{far(idFar, farGoesOn), "unattested"},
			}
		}},
		{"a node speaks for its own prefix only", func(counted func(uint64) action) []step {
			return []step{
				{attests(Enforce, idFar), ""},
				{tunnelled(thirdPrefix, idFar, false, tcp(addrThird+":1", addrA+":80", "S")), "unattested"},
			}
		}},
		{"vouched answers are no exception", func(counted func(uint64) action) []step {
			return []step{
				{attests(Enforce), ""},
				{pod(podA(), opensFar), "tunnel"},
				{farReply(idFar, tcp(addrFar+":80", addrA+":4000", "SA")), "unattested"},
				{attests(Audit), ""},
				{farReply(idFar, tcp(addrFar+":80", addrA+":4000", "SA")), "pod"},
				{counted(2), ""},
			}
		}},
		{"nodes and the world behind them are not asked", func(counted func(uint64) action) []step {
			return []step{
				{attests(Enforce), ""},
				{far(identity.Host, tcp(farHost+":1", addrA+":80", "S")), "pod"},
				{far(identity.World, tcp(farHost+":2", addrA+":80", "S")), "pod"},
				{counted(0), ""},
			}
		}},
	} {
		n.inBothFamilies(t, c.name, func(t *testing.T) { n.play(t, c.steps(counts(n))) })
	}
	n.play(t, []step{{attests(Audit), ""}})
}

// A packet that audit lets through is marked in its event.
func TestUnattestedEvent(t *testing.T) {
	n := newNode(t)
	events, err := n.Events()
	must(t, err)
	defer func() { must(t, events.Close()) }()
	for _, want := range []bool{true, false} {
		ids := []identity.ID{idFar}
		if want {
			ids = nil
		}
		n.play(t, []step{{attests(Audit, ids...), ""}, {far(idFar, farOpens), "pod"}})
		event, err := events.Next()
		must(t, err)
		if event.Unattested != want || event.Verdict != Admitted {
			t.Errorf("event %+v, want unattested %v", event, want)
		}
	}
}

// What is in force outlives the agent, and a new one changes nothing that is
// right already.
func TestAttestationOutlivesTheAgent(t *testing.T) {
	n := newNode(t)
	n.play(t, []step{{attests(Enforce, idFar, idOther), ""}})
	again := openNode(t, testConfig(t))
	changed, err := again.SetAttested(map[netip.Prefix][]identity.ID{farPrefix: {idOther, idFar}}, Enforce)
	if changed || err != nil {
		t.Errorf("changed %v, %v", changed, err)
	}
	tables, err := again.Usage()
	must(t, err)
	if !slices.ContainsFunc(tables, func(u Usage) bool { return u.Name == "attested" && u.Entries == 2 && u.Max > 2 }) {
		t.Errorf("two entries, yet the tables are %v", tables)
	}
	before := again.Revision()
	changed, err = again.SetAttested(nil, Enforce)
	if !changed || err != nil || again.Revision() == before {
		t.Errorf("changed %v, %v, revision %d after %d", changed, err, again.Revision(), before)
	}
	again.play(t, []step{{far(idFar, farOpens), "unattested"}})
}

func TestParseAttestation(t *testing.T) {
	for _, mode := range []Attestation{Audit, Enforce} {
		if got, err := ParseAttestation(mode.String()); got != mode || err != nil {
			t.Errorf("%s: %v, %v", mode, got, err)
		}
	}
	if _, err := ParseAttestation("off"); err == nil {
		t.Error("off is a mode")
	}
}
