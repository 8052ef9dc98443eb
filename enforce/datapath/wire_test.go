package datapath

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"math/rand/v2"
	"net/netip"
	"os"
	"strings"
	"testing"

	"github.com/gopacket/gopacket/layers"

	"github.com/signet-cni/signet/identity"
	"github.com/signet-cni/signet/overlay/wire"
)

// newPair gives two nodes that see each other: pod A is the near node's, the
// far pod the far node's.
func newPair(t testing.TB) (near, far *node) {
	t.Helper()
	near = newNode(t)
	cfg := testConfig(t)
	cfg.PinPath += "-far"
	cfg.Prefix, cfg.Prefix6 = farPrefix, farPrefix6
	far = openNode(t, cfg)
	must(t, far.SetEndpoint(endpoint(addrFar, "podB", idFar, 4)))
	_, err := far.SetLocations(map[netip.Prefix]Location{
		netip.MustParsePrefix("10.244.2.0/24"): {Kind: LocalPods},
		netip.MustParsePrefix("10.244.1.0/24"): {Kind: RemotePods, Prefix: ownPrefix},
	})
	must(t, err)
	far.setPolicy(openTable())
	return near, far
}

// goldenPacket is one block of the wire format's golden packets, which an
// implementation of its own has made.
type goldenPacket struct {
	name               string
	reply              bool
	ipv4, tunnel, back []byte
}

func goldenPackets(t testing.TB) []goldenPacket {
	t.Helper()
	var all []goldenPacket
	for _, fields := range goldenBlocks(t, "golden.txt") {
		g := goldenPacket{name: fields["name"], reply: fields["reply"] == "1"}
		g.ipv4, g.tunnel = unhex(t, fields["ipv4"]), unhex(t, fields["tunnel"])
		if g.back = g.ipv4; fields["back"] != "same" {
			g.back = unhex(t, fields["back"])
		}
		all = append(all, g)
	}
	return all
}

// goldenBlocks reads a file of golden packets: blocks of lines with a field's name
// and its value.
func goldenBlocks(t testing.TB, name string) []map[string]string {
	t.Helper()
	text, err := os.ReadFile("../../overlay/wire/testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	var all []map[string]string
	for block := range strings.SplitSeq(string(text), "\n\n") {
		fields := map[string]string{}
		for line := range strings.Lines(block) {
			key, value, _ := strings.Cut(line, " ")
			fields[key] = strings.TrimSpace(value)
		}
		if fields["name"] != "" {
			all = append(all, fields)
		}
	}
	if len(all) < 11 {
		t.Fatalf("only %d golden packets in %s", len(all), name)
	}
	return all
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	must(t, err)
	return b
}

// TestGolden puts the golden packets through from_pod of the sending node and
// from_overlay of the receiving one.
func TestGolden(t *testing.T) {
	near, far := newPair(t)
	for _, g := range goldenPackets(t) {
		near.forgetFlows()
		if g.reply {
			letAnswer(t, near, far, g.ipv4)
		}
		sent := near.fromPod(podA(), g.ipv4)
		if !bytes.Equal(sent.packet(), g.tunnel) {
			t.Errorf("%s: %s\n got %x\nwant %x", g.name, sent, sent.packet(), g.tunnel)
		}
		received := far.fromOverlay(g.tunnel)
		if got := received.packet(); received.String() != "pod" || !bytes.Equal(blankID(got), blankID(g.back)) {
			t.Errorf("%s: %s\n got %x\nwant %x", g.name, received, got, g.back)
		}
	}
}

// letAnswer opens the flow that a golden reply answers.
func letAnswer(t testing.TB, near, far *node, answer []byte) {
	t.Helper()
	src, dst := addrFar+":8080", addrA+":43210"
	if binary.BigEndian.Uint16(answer[20:]) != 43210 {
		t.Fatal("the golden reply has other ports")
	}
	opening := far.fromPod(endpoint(addrFar, "podB", idFar, 4), tcp(src, dst, "S").bytes())
	if got := near.fromOverlay(opening.packet()); got.String() != "pod" {
		t.Fatalf("%s, then %s", opening, got)
	}
}

// blankID blanks the identification of a packet that is no fragment, which is
// free on the receiving side (RFC 6864), and with it the header checksum.
func blankID(p []byte) []byte {
	p = bytes.Clone(p)
	if binary.BigEndian.Uint16(p[6:])&0x3fff == 0 {
		copy(p[4:6], []byte{0, 0})
		copy(p[10:12], []byte{0, 0})
	}
	return p
}

// randomPacket draws a whole IPv4 packet of A to the far pod, with options,
// any class, any TTL, any length, DF or not.
func randomPacket(r *rand.Rand) []byte {
	src, dst := addrA+":"+port(r), addrFar+":"+port(r)
	kinds := []ipv4{tcp(src, dst, "S"), tcp(src, dst, "A"), udp(src, dst), sctp(src, dst), echo(src, dst)}
	p := kinds[r.IntN(len(kinds))]
	payload := make([]byte, r.IntN(1300))
	for i := range payload {
		payload[i] = byte(r.Uint32())
	}
	p.payload = payload
	p.header.TOS, p.header.TTL, p.header.Id = uint8(r.Uint32()), uint8(r.Uint32()), uint16(r.Uint32())
	if r.IntN(2) == 0 {
		p.header.Flags = 0
	}
	for range r.IntN(4) {
		data := make([]byte, r.IntN(7))
		option := layers.IPv4Option{OptionType: 148, OptionLength: uint8(2 + len(data)), OptionData: data}
		p.header.Options = append(p.header.Options, option)
	}
	return p.bytes()
}

func port(r *rand.Rand) string {
	return netip.AddrPortFrom(netip.IPv4Unspecified(), uint16(1+r.IntN(65535))).String()[len("0.0.0.0:"):]
}

// TestRandomRoundTrips compares both directions with the Go model, and the
// checksums with the original's, over random packets and identities.
func TestRandomRoundTrips(t *testing.T) {
	near, far := newPair(t)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	packets := 3000
	if testing.Short() {
		packets /= 20
	}
	for range packets {
		checkRoundTrip(t, near, far, randomPacket(r))
	}
}

func FuzzRoundTrip(f *testing.F) {
	near, far := newPair(f)
	f.Add(uint64(1))
	f.Fuzz(func(t *testing.T, seed uint64) {
		near.t, far.t = t, t
		checkRoundTrip(t, near, far, randomPacket(rand.New(rand.NewPCG(seed, 0))))
	})
}

func checkRoundTrip(t testing.TB, near, far *node, original []byte) {
	t.Helper()
	want, err := wire.Encode(original, wire.Route{From: ownPrefix, To: farPrefix, Identity: uint32(idA)})
	must(t, err)
	sent := near.fromPod(podA(), original)
	if !bytes.Equal(sent.packet(), want) {
		t.Fatalf("%x became %s\n got %x\nwant %x", original, sent, sent.packet(), want)
	}
	back, _, err := wire.Decode(want)
	must(t, err)
	received := far.fromOverlay(want)
	got := received.packet()
	if received.String() != "pod" || !bytes.Equal(blankID(got), blankID(back)) {
		t.Fatalf("%x came out as %s\n got %x\nwant %x", original, received, got, back)
	}
	if wire.Sum(got[:20]) != 0xffff {
		t.Fatalf("%x: header checksum is wrong", got)
	}
}

// TestAdjustment compares the checksum adjustment with the Go model's over
// identities that make the sum's carries differ, zero and 0xffff among them.
func TestAdjustment(t *testing.T) {
	n := newNode(t)
	zero := 0
	for i := range 70000 {
		id := identity.ID(0x10000*uint32(i%3) + uint32(i) + 256)
		p := tag(t, tcp(addrFar+":4000", addrA+":80", "S").bytes(), farPrefix, id, false)
		if p[32] == 0 && p[33] == 0 {
			zero++
		} else if testing.Short() && i%16 != 0 {
			continue
		}
		if r := n.fromOverlay(p); r.reason == Reason(bpfReasonREASON_TUNNEL_CHECKSUM) {
			t.Fatalf("identity %s: %s", id, r)
		}
		if p[32] == 0 && p[33] == 0 {
			p[32], p[33] = 0xff, 0xff
			if r := n.fromOverlay(p); r.String() != "tunnel-checksum" {
				t.Fatalf("the other zero: %s", r)
			}
		}
	}
	if zero == 0 {
		t.Error("no identity needed the adjustment zero")
	}
}
