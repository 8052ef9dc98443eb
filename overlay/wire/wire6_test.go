package wire

import (
	"bytes"
	"encoding/binary"
	"errors"
	"net/netip"
	"strconv"
	"testing"

	"github.com/signet-cni/signet/overlay"
)

// golden6 is one block of testdata/golden6.txt.
type golden6 struct {
	name         string
	route        Route
	ipv6, tunnel []byte
}

// goldenHosts are the nodes' own addresses in the golden packets.
var goldenHosts = overlay.Hosts{
	netip.MustParsePrefix("fd10:244:0:1::/64"): {netip.MustParseAddr("2001:db8::ac12:1")},
	netip.MustParsePrefix("fd10:244:0:2::/64"): {netip.MustParseAddr("2001:db8::ac12:2")},
}

func readGolden6(t testing.TB) []golden6 {
	t.Helper()
	var all []golden6
	for _, fields := range goldenBlocks(t, "golden6.txt") {
		identity, err := strconv.ParseUint(fields["ident"], 16, 32)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, golden6{
			name: fields["name"], ipv6: unhex(t, fields["ipv6"]), tunnel: unhex(t, fields["tunnel"]),
			route: Route{
				From: netip.MustParsePrefix(fields["from"]), To: netip.MustParsePrefix(fields["to"]),
				Identity: uint32(identity), Reply: fields["reply"] == "1",
			},
		})
	}
	return all
}

func TestGolden6(t *testing.T) {
	for _, g := range readGolden6(t) {
		t.Run(g.name, func(t *testing.T) {
			in := append(bytes.Clone(g.ipv6), 0, 0) // what follows the packet is cut off
			got, err := Encode6(in, g.route, goldenHosts)
			if err != nil || !bytes.Equal(got, g.tunnel) {
				t.Errorf("Encode6: %v\n got %x\nwant %x", err, got, g.tunnel)
			}
			back, tag, err := Decode6(g.tunnel, goldenHosts)
			if err != nil || !bytes.Equal(back, g.ipv6) {
				t.Errorf("Decode6: %v\n got %x\nwant %x", err, back, g.ipv6)
			}
			want := overlay.Tag6{
				From: g.route.From, To: g.route.To, Identity: g.route.Identity, Reply: g.route.Reply,
				Src: netip.AddrFrom16([16]byte(g.ipv6[8:])), Dst: netip.AddrFrom16([16]byte(g.ipv6[24:])),
			}
			if tag != want {
				t.Errorf("tag %+v, want %+v", tag, want)
			}
			if len(got) != len(g.ipv6) || Sum(got[8:40]) != Sum(g.ipv6[8:40]) {
				t.Errorf("%d bytes became %d, sums %04x and %04x", len(g.ipv6), len(got), Sum(g.ipv6[8:40]), Sum(got[8:40]))
			}
		})
	}
}

func TestEncode6Refuses(t *testing.T) {
	all := readGolden6(t)
	tcp, first := all[0].ipv6, all[3].ipv6
	for _, c := range []struct {
		name   string
		packet []byte
		want   error
	}{
		{"empty", nil, ErrTruncated},
		{"half a header", tcp[:39], ErrTruncated},
		{"IPv4", edit(tcp, 0, 0x45), ErrVersion},
		{"payload cut off", tcp[:len(tcp)-1], ErrTruncated},
		{"hop-by-hop options", edit(tcp, 6, 0), ErrProtocol},
		{"routing header", edit(tcp, 6, 43), ErrProtocol},
		{"authentication header", edit(tcp, 6, 51), ErrProtocol},
		{"destination options", edit(tcp, 6, 60), ErrProtocol},
		{"mobility header", edit(tcp, 6, 135), ErrProtocol},
		{"destination options of a fragment", edit(first, 40, 60), ErrProtocol},
		{"fragment of a fragment", edit(first, 40, 44), ErrProtocol},
		{"reserved byte", edit(first, 41, 1), ErrReserved},
		{"reserved bits", edit(first, 43, 0x03), ErrReserved},
		{"a piece behind the largest packet", edit(first, 42, 0xff, 0xf9), ErrFragment},
		{"another node's pod", edit(tcp, 15, 9), overlay.ErrBadTag},
		{"bits above a pod's number", edit(tcp, 19, 1), overlay.ErrBadTag},
		{"number 0", edit(tcp, 20, 0, 0, 0, 0), overlay.ErrBadTag},
		{"a node's number as a pod's address", edit(tcp, 20, 0, 0, 0, 1), overlay.ErrBadTag},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, err := Encode6(c.packet, all[0].route, goldenHosts); !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
		})
	}
}

func TestDecode6Refuses(t *testing.T) {
	all := readGolden6(t)
	tcp, toNode := all[0].tunnel, all[7].tunnel
	for _, c := range []struct {
		name   string
		packet []byte
		want   error
	}{
		{"aux D", edit(tcp, 35, 0x03), overlay.ErrUndefinedAux},
		{"aux bit 15", edit(tcp, 34, 0x80), overlay.ErrUndefinedAux},
		{"another identity", edit(tcp, 16, 0), overlay.ErrChecksumDrift},
		{"adjust off by one", edit(tcp, 33, tcp[33]^1), overlay.ErrChecksumDrift},
		{"number 0", edit(tcp, 36, 0, 0, 0, 0), overlay.ErrNoHost},
		{"number of no address", edit(toNode, 39, 2), overlay.ErrNoHost},
		{"source number of no address", edit(tcp, 20, 0, 0, 0, 15), overlay.ErrNoHost},
		{"extension header", edit(tcp, 6, 60), ErrProtocol},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, _, err := Decode6(c.packet, goldenHosts); !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
		})
	}
}

// FuzzDecode6 checks that nothing crashes, that what Decode6 accepts is what
// Encode6 writes, and that the sum over the addresses stays.
func FuzzDecode6(f *testing.F) {
	for _, g := range readGolden6(f) {
		f.Add(g.tunnel)
	}
	f.Fuzz(func(t *testing.T, packet []byte) {
		own, tag, err := Decode6(packet, goldenHosts)
		if err != nil {
			return
		}
		route := Route{From: tag.From, To: tag.To, Identity: tag.Identity, Reply: tag.Reply}
		again, err := Encode6(own, route, goldenHosts)
		if err != nil || !bytes.Equal(again, packet[:len(again)]) {
			t.Fatalf("%v: got %x, want %x", err, again, packet)
		}
		if Sum(own[8:40])%0xffff != Sum(packet[8:40])%0xffff {
			t.Fatalf("sums differ: %x, %x", own, packet)
		}
	})
}

// FuzzEncode6 checks that what Encode6 accepts comes back as it was.
func FuzzEncode6(f *testing.F) {
	all := readGolden6(f)
	for _, g := range all {
		f.Add(g.ipv6)
	}
	f.Fuzz(func(t *testing.T, packet []byte) {
		tunnel, err := Encode6(packet, all[0].route, goldenHosts)
		if err != nil {
			return
		}
		back, _, err := Decode6(tunnel, goldenHosts)
		size := header6Len + int(binary.BigEndian.Uint16(packet[4:]))
		if err != nil || !bytes.Equal(back, packet[:size]) {
			t.Fatalf("%v: got %x, want %x", err, back, packet[:size])
		}
	})
}
