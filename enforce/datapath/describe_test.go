package datapath

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"net/netip"
	"testing"

	"github.com/signet-cni/signet/overlay/wire"
)

// describe gives the outcome and, of a packet that goes on, its ends after
// translation. It fails the test if a checksum is wrong.
func (n *node) describe(r result) string {
	n.t.Helper()
	if r.action == actionDrop {
		return r.String()
	}
	p := r.packet()
	if p[0]>>4 == 6 {
		inner, _, err := wire.Decode(p)
		must(n.t, err)
		p = inner
	}
	checkSums(n.t, p)
	src, dst := netip.AddrFrom4([4]byte(p[12:])), netip.AddrFrom4([4]byte(p[16:]))
	if p[9] == 1 || binary.BigEndian.Uint16(p[6:])&0x1fff != 0 {
		return fmt.Sprintf("%s %s>%s", r, src, dst)
	}
	sport, dport := binary.BigEndian.Uint16(p[20:]), binary.BigEndian.Uint16(p[22:])
	return fmt.Sprintf("%s %s>%s", r, netip.AddrPortFrom(src, sport), netip.AddrPortFrom(dst, dport))
}

// checkSums verifies the checksums of an IPv4 packet; of a fragment the
// header's only.
func checkSums(t testing.TB, p []byte) {
	t.Helper()
	if wire.Sum(p[:20]) != 0xffff {
		t.Fatalf("%x: header checksum is wrong", p)
	}
	body, protocol := p[20:], p[9]
	if binary.BigEndian.Uint16(p[6:])&0x3fff != 0 {
		return
	}
	switch protocol {
	case 1:
		if wire.Sum(body) != 0xffff {
			t.Fatalf("%x: ICMP checksum is wrong", p)
		}
	case 6, 17:
		if protocol == 17 && body[6] == 0 && body[7] == 0 {
			return
		}
		pseudo := append([]byte{}, p[12:20]...)
		pseudo = append(pseudo, 0, protocol, byte(len(body)>>8), byte(len(body)))
		if wire.Sum(append(pseudo, body...)) != 0xffff {
			t.Fatalf("%x: transport checksum is wrong", p)
		}
	case 132:
		if got, want := binary.LittleEndian.Uint32(body[8:]), sctpSum(body); got != 0 && got != want {
			t.Fatalf("%x: SCTP checksum is %x, want %x", p, got, want)
		}
	}
}

// sctpSum is the checksum of an SCTP packet (RFC 9260 appendix A).
func sctpSum(packet []byte) uint32 {
	blank := append([]byte{}, packet...)
	copy(blank[8:12], make([]byte, 4))
	return crc32.Checksum(blank, crc32.MakeTable(crc32.Castagnoli))
}

// describeError is describe for an ICMP error: it tells what that quotes, too.
func (n *node) describeError(r result) string {
	n.t.Helper()
	said := n.describe(r)
	if r.action == actionDrop {
		return said
	}
	p := r.packet()
	if p[0]>>4 == 6 {
		p, _, _ = wire.Decode(p) // describe has seen that it can be
	}
	inner := p[28:]
	if wire.Sum(inner[:20]) != 0xffff {
		n.t.Fatalf("%x: quoted header checksum is wrong", inner)
	}
	src := netip.AddrPortFrom(netip.AddrFrom4([4]byte(inner[12:])), binary.BigEndian.Uint16(inner[20:]))
	dst := netip.AddrPortFrom(netip.AddrFrom4([4]byte(inner[16:])), binary.BigEndian.Uint16(inner[22:]))
	return fmt.Sprintf("%s about %s>%s", said, src, dst)
}
