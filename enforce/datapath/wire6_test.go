package datapath

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"strconv"
	"strings"
	"testing"

	"github.com/signet-cni/signet/identity"
	"github.com/signet-cni/signet/overlay/wire"
)

// newPair6 is newPair with the far node's IPv6 range and pod.
func newPair6(t testing.TB) (near, far *node) {
	t.Helper()
	near, far = newPair(t)
	near.v6, far.v6 = true, true
	must(t, far.SetEndpoint(sixth(endpoint(addrFar, "podB", idFar, 4))))
	_, err := far.SetLocations(map[netip.Prefix]Location{
		farPrefix6:     {Kind: LocalPods, Prefix: farPrefix6, Node: farPrefix},
		host6(farHost): {Kind: LocalHost, Prefix: farPrefix6, Node: farPrefix, Host: 1},
		ownPrefix6:     {Kind: RemotePods, Prefix: ownPrefix6, Node: ownPrefix},
		host6(ownHost): {Kind: RemoteHost, Prefix: ownPrefix6, Node: ownPrefix, Host: 1},
	})
	must(t, err)
	return near, far
}

type golden6 struct {
	name         string
	reply        bool
	identity     identity.ID
	ipv6, tunnel []byte
}

func goldenPackets6(t testing.TB) []golden6 {
	t.Helper()
	var all []golden6
	for _, fields := range goldenBlocks(t, "golden6.txt") {
		id, err := strconv.ParseUint(fields["ident"], 16, 32)
		must(t, err)
		all = append(all, golden6{
			name: fields["name"], reply: fields["reply"] == "1", identity: identity.ID(id),
			ipv6: unhex(t, fields["ipv6"]), tunnel: unhex(t, fields["tunnel"]),
		})
	}
	return all
}

// TestGolden6 puts the golden IPv6 packets through from_pod, or to_overlay, of
// the sending node and from_overlay of the receiving one.
func TestGolden6(t *testing.T) {
	near, far := newPair6(t)
	for _, g := range goldenPackets6(t) {
		near.forgetFlows()
		if g.reply {
			letAnswer6(t, near, far)
		}
		if strings.Contains(g.name, "too big") {
			opening := near.fromPod(podA(), ipv6(tcp(addrA+":43210", addrFar+":8080", "S").bytes()))
			far.fromOverlay(opening.packet())
		}
		var sent result
		if g.identity == identity.Host {
			sent = near.toOverlay(g.ipv6, "")
		} else {
			sent = near.fromPod(podA(), g.ipv6)
		}
		if !bytes.Equal(sent.packet(), g.tunnel) {
			t.Errorf("%s: %s\n got %x\nwant %x", g.name, sent, sent.packet(), g.tunnel)
		}
		received := far.fromOverlay(g.tunnel)
		if got := received.packet(); received.action == actionDrop || !bytes.Equal(got, g.ipv6) {
			t.Errorf("%s: %s\n got %x\nwant %x", g.name, received, got, g.ipv6)
		}
	}
}

// letAnswer6 opens the flow that the golden reply answers.
func letAnswer6(t testing.TB, near, far *node) {
	t.Helper()
	opening := far.fromPod(sixth(endpoint(addrFar, "podB", idFar, 4)), ipv6(tcp(addrFar+":8080", addrA+":43210", "S").bytes()))
	if got := near.fromOverlay(opening.packet()); got.String() != "pod" {
		t.Fatalf("%s, then %s", opening, got)
	}
}

// TestRandomRoundTrips6 compares both directions with the Go model over random
// packets and addresses.
func TestRandomRoundTrips6(t *testing.T) {
	near, far := newPair6(t)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	for range 1000 {
		original := ipv6(randomPacket(r))
		binary.BigEndian.PutUint32(original, 6<<28|r.Uint32N(1<<28))
		want := near.tag6(original, wire.Route{From: ownPrefix6, To: farPrefix6, Identity: uint32(idA)})
		sent := near.fromPod(podA(), original)
		if !bytes.Equal(sent.packet(), want) {
			t.Fatalf("%x became %s\n got %x\nwant %x", original, sent, sent.packet(), want)
		}
		if got := far.fromOverlay(want); got.String() != "pod" || !bytes.Equal(got.packet(), original) {
			t.Fatalf("%x came out as %s\n got %x", original, got, got.packet())
		}
	}
}
