package wire

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/signet-cni/signet/overlay"
)

// golden is one block of testdata/golden.txt.
type golden struct {
	name         string
	reply        bool
	ipv4, tunnel []byte
	back         []byte
}

func readGolden(t testing.TB) []golden {
	t.Helper()
	var all []golden
	for _, fields := range goldenBlocks(t, "golden.txt") {
		g := golden{name: fields["name"], reply: fields["reply"] == "1"}
		g.ipv4, g.tunnel = unhex(t, fields["ipv4"]), unhex(t, fields["tunnel"])
		g.back = g.ipv4
		if fields["back"] != "same" {
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
	text, err := os.ReadFile(filepath.Join("testdata", name))
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
	if err != nil || len(b) == 0 {
		t.Fatalf("bad hex %q: %v", s, err)
	}
	return b
}

func goldenRoute(reply bool) Route {
	return Route{
		From:     netip.MustParsePrefix("fd51:a2b3:af4:100::/64"),
		To:       netip.MustParsePrefix("fd51:a2b3:af4:200::/64"),
		Identity: 0xc0ffee01, Reply: reply,
	}
}

func TestGolden(t *testing.T) {
	for _, g := range readGolden(t) {
		t.Run(g.name, func(t *testing.T) {
			in := bytes.Clone(g.ipv4)
			got, err := Encode(in, goldenRoute(g.reply))
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, g.tunnel) {
				t.Errorf("Encode\n got %x\nwant %x", got, g.tunnel)
			}
			back, tag, err := Decode(got)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(back, g.back) {
				t.Errorf("Decode\n got %x\nwant %x", back, g.back)
			}
			want := goldenRoute(g.reply)
			if tag.From != want.From || tag.To != want.To || tag.Identity != want.Identity ||
				(tag.Flags&overlay.Reply != 0) != g.reply {
				t.Errorf("tag %+v", tag)
			}
			if !bytes.Equal(in, g.ipv4) {
				t.Error("the input was changed")
			}
		})
	}
}

// TestChecksumsHold computes the TCP and UDP checksums of the golden packets
// under both pseudo-headers: what is right in IPv4 is right in the tunnel.
func TestChecksumsHold(t *testing.T) {
	whole := 0
	for _, g := range readGolden(t) {
		protocol := g.tunnel[6]
		if protocol != 6 && protocol != 17 {
			continue
		}
		whole++
		payload := g.tunnel[header6Len:]
		pseudo := append(bytes.Clone(g.tunnel[8:40]), 0, 0, 0, 0, 0, 0, 0, protocol)
		binary.BigEndian.PutUint32(pseudo[32:], uint32(len(payload)))
		if sum := Sum(append(pseudo, payload...)); sum != 0xffff {
			t.Errorf("%s: checksum is wrong inside the tunnel: sum %04x", g.name, sum)
		}
		pseudo = append(bytes.Clone(g.back[12:20]), 0, protocol, byte(len(payload)>>8), byte(len(payload)))
		if sum := Sum(append(pseudo, payload...)); sum != 0xffff {
			t.Errorf("%s: checksum is wrong in IPv4: sum %04x", g.name, sum)
		}
		if sum := Sum(g.back[:header4Len]); sum != 0xffff {
			t.Errorf("%s: header checksum is wrong: sum %04x", g.name, sum)
		}
	}
	if whole < 4 {
		t.Errorf("only %d packets with a checksum to test", whole)
	}
}

// edit returns a copy of the first golden packet (TCP) with bytes replaced.
func edit(b []byte, at int, value ...byte) []byte {
	b = bytes.Clone(b)
	copy(b[at:], value)
	return b
}

func TestEncodeRefuses(t *testing.T) {
	tcp := readGolden(t)[0].ipv4
	withOptions := func(o ...byte) []byte {
		p := append(bytes.Clone(tcp[:header4Len]), o...)
		p[0] = 0x40 | byte(len(p)/4)
		p = append(p, tcp[header4Len:]...)
		binary.BigEndian.PutUint16(p[2:], uint16(len(p)))
		return p
	}
	for _, c := range []struct {
		name   string
		packet []byte
		want   error
	}{
		{"empty", nil, ErrTruncated},
		{"half a header", tcp[:19], ErrTruncated},
		{"IPv6", edit(tcp, 0, 0x65), ErrVersion},
		{"header length 4", edit(tcp, 0, 0x44), ErrTruncated},
		{"total length below the header's", edit(tcp, 2, 0, 19), ErrTruncated},
		{"total length above the packet's", edit(tcp, 2, 0, byte(len(tcp)+1)), ErrTruncated},
		{"options cut off by the total length", edit(tcp, 0, 0x4f), ErrTruncated},
		{"reserved flag", edit(tcp, 6, 0x80), ErrReserved},
		{"hop-by-hop", edit(tcp, 9, 0), ErrProtocol},
		{"routing header", edit(tcp, 9, 43), ErrProtocol},
		{"fragment header", edit(tcp, 9, 44), ErrProtocol},
		{"destination options", edit(tcp, 9, 60), ErrProtocol},
		{"a piece that fills no whole units", edit(tcp, 6, 0x20), ErrFragment},
		{"a piece behind the largest packet", edit(tcp, 6, 0x1f, 0xff), ErrFragment},
		{"loose source route", withOptions(131, 7, 4, 10, 0, 0, 1, 0), ErrSourceRoute},
		{"strict source route", withOptions(1, 137, 7, 4, 10, 0, 0, 1), ErrSourceRoute},
		{"source route without pointer", withOptions(131, 2, 0, 0), ErrOptions},
		{"option of length 0", withOptions(7, 0, 0, 0), ErrOptions},
		{"option of length 1", withOptions(7, 1, 0, 0), ErrOptions},
		{"option behind the header", withOptions(7, 5, 0, 0), ErrOptions},
		{"option without length", withOptions(1, 1, 1, 7), ErrOptions},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, err := Encode(c.packet, goldenRoute(false)); !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
		})
	}
	bad := goldenRoute(false)
	bad.To = netip.MustParsePrefix("2001:db8::/64")
	if _, err := Encode(tcp, bad); !errors.Is(err, overlay.ErrBadTag) {
		t.Errorf("foreign prefix: got %v, want %v", err, overlay.ErrBadTag)
	}
}

func TestEncodeTrims(t *testing.T) {
	g := readGolden(t)[0]
	got, err := Encode(append(bytes.Clone(g.ipv4), 0, 0, 0), goldenRoute(g.reply))
	if err != nil || !bytes.Equal(got, g.tunnel) {
		t.Errorf("got %x, %v", got, err)
	}
}

func TestDecodeRefuses(t *testing.T) {
	all := readGolden(t)
	tcp, first := all[0].tunnel, all[4].tunnel
	for _, c := range []struct {
		name   string
		packet []byte
		want   error
	}{
		{"empty", nil, ErrTruncated},
		{"half a header", tcp[:39], ErrTruncated},
		{"version 4", edit(tcp, 0, 0x40), ErrVersion},
		{"flow label", edit(tcp, 3, 1), ErrReserved},
		{"payload cut off", tcp[:len(tcp)-1], ErrTruncated},
		{"hop-by-hop", edit(tcp, 6, 0), ErrProtocol},
		{"no room for the fragment header", edit(edit(first, 4, 0, 7), 6, 44), ErrTruncated},
		{"fragment of a fragment", edit(first, 40, 44), ErrProtocol},
		{"reserved byte", edit(first, 41, 1), ErrReserved},
		{"reserved bits", edit(first, 43, 0x03), ErrReserved},
		{"identification above 16 bits", edit(first, 44, 1), ErrReserved},
		{"fragment header on a whole packet", edit(first, 42, 0, 0), ErrFragment},
		{"a piece behind the largest packet", edit(first, 42, 0xff, 0xf9), ErrFragment},
		{"source outside the tunnel", edit(tcp, 8, 0x20), overlay.ErrNotTunnel},
		{"destination outside the tunnel", edit(tcp, 24, 0x20), overlay.ErrNotTunnel},
		{"another cluster", edit(tcp, 9, 0), overlay.ErrOtherCluster},
		{"another identity", edit(tcp, 16, 0), overlay.ErrChecksumDrift},
		{"another node", edit(tcp, 14, 9), overlay.ErrChecksumDrift},
		{"the other zero", edit(tcp, 32, 0xff, 0xff), overlay.ErrChecksumDrift},
		{"aux bit 2", edit(tcp, 35, 0x04), overlay.ErrUndefinedAux},
		{"aux bit 15", edit(tcp, 34, 0x80), overlay.ErrUndefinedAux},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, _, err := Decode(c.packet); !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
		})
	}
	huge := make([]byte, header6Len+0xffff)
	copy(huge, tcp[:header6Len])
	binary.BigEndian.PutUint16(huge[4:], 0xffff)
	if _, _, err := Decode(huge); !errors.Is(err, ErrLength) {
		t.Errorf("largest IPv6 packet: got %v, want %v", err, ErrLength)
	}
}

// FuzzDecode checks that nothing crashes, and that whatever Decode accepts is
// exactly what Encode writes for the packet it returned.
func FuzzDecode(f *testing.F) {
	for _, g := range readGolden(f) {
		f.Add(g.tunnel)
	}
	f.Fuzz(func(t *testing.T, packet []byte) {
		ipv4, tag, err := Decode(packet)
		if err != nil {
			return
		}
		route := Route{From: tag.From, To: tag.To, Identity: tag.Identity, Reply: tag.Flags&overlay.Reply != 0}
		again, err := Encode(ipv4, route)
		if err != nil {
			t.Fatalf("Encode refuses what Decode made: %v", err)
		}
		if !bytes.Equal(again, packet[:len(again)]) {
			t.Fatalf("got %x, want %x", again, packet)
		}
	})
}

// FuzzEncode checks that what Encode accepts comes back with its payload, its
// addresses and its fragment fields.
func FuzzEncode(f *testing.F) {
	for _, g := range readGolden(f) {
		f.Add(g.ipv4)
	}
	f.Fuzz(func(t *testing.T, packet []byte) {
		tunnel, err := Encode(packet, goldenRoute(true))
		if err != nil {
			return
		}
		back, _, err := Decode(tunnel)
		if err != nil {
			t.Fatalf("Decode refuses what Encode made: %v", err)
		}
		headerLen, total := int(packet[0]&0xf)*4, int(binary.BigEndian.Uint16(packet[2:]))
		if !bytes.Equal(back[header4Len:], packet[headerLen:total]) {
			t.Error("payload changed")
		}
		if !bytes.Equal(back[12:20], packet[12:20]) || !bytes.Equal(back[6:10], packet[6:10]) || back[1] != packet[1] {
			t.Error("header changed")
		}
	})
}
