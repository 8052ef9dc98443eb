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
	p := n.inner(r)
	checkSums(n.t, p)
	h := readHeader(p)
	if h.protocol == 1 || h.protocol == 58 || h.later {
		return fmt.Sprintf("%s %s>%s", r, h.src, h.dst)
	}
	src, dst := h.ends()
	return fmt.Sprintf("%s %s>%s", r, src, dst)
}

// inner is the packet that goes on, out of its form in the tunnel.
func (n *node) inner(r result) []byte {
	n.t.Helper()
	p := r.packet()
	if r.mark != uint32(bpfMarkMARK_TAGGED) {
		return p
	}
	var err error
	if n.v6 {
		p, _, err = wire.Decode6(p, testHosts)
	} else {
		p, _, err = wire.Decode(p)
	}
	must(n.t, err)
	return p
}

// ipHeader is what the tests look at in a packet of either family; addresses
// are IPv4's or the IPv4 counterparts of IPv6's.
type ipHeader struct {
	src, dst        netip.Addr
	protocol        byte
	fragment, later bool
	body            []byte // behind the IP headers
}

func readHeader(p []byte) ipHeader {
	if p[0]>>4 == 4 {
		field := binary.BigEndian.Uint16(p[6:])
		return ipHeader{
			src: netip.AddrFrom4([4]byte(p[12:])), dst: netip.AddrFrom4([4]byte(p[16:])), protocol: p[9],
			fragment: field&0x3fff != 0, later: field&0x1fff != 0, body: p[20:],
		}
	}
	h := ipHeader{
		src: four(netip.AddrFrom16([16]byte(p[8:]))), dst: four(netip.AddrFrom16([16]byte(p[24:]))),
		protocol: p[6], body: p[40:],
	}
	if h.protocol == 44 {
		h.protocol, h.fragment, h.later = p[40], true, binary.BigEndian.Uint16(p[42:])>>3 != 0
		h.body = p[48:]
	}
	return h
}

func (h ipHeader) ends() (src, dst netip.AddrPort) {
	return netip.AddrPortFrom(h.src, binary.BigEndian.Uint16(h.body)), netip.AddrPortFrom(h.dst, binary.BigEndian.Uint16(h.body[2:]))
}

// checkSums verifies the checksums of a packet; of a fragment the header's only.
func checkSums(t testing.TB, p []byte) {
	t.Helper()
	if p[0]>>4 == 4 && wire.Sum(p[:20]) != 0xffff {
		t.Fatalf("%x: header checksum is wrong", p)
	}
	h := readHeader(p)
	if h.fragment {
		return
	}
	switch h.protocol {
	case 1:
		if wire.Sum(h.body) != 0xffff {
			t.Fatalf("%x: ICMP checksum is wrong", p)
		}
	case 6, 17, 58:
		if p[0]>>4 == 4 && h.protocol == 17 && h.body[6] == 0 && h.body[7] == 0 {
			return
		}
		if transportSum(p) != 0xffff {
			t.Fatalf("%x: transport checksum is wrong", p)
		}
	case 132:
		if got, want := binary.LittleEndian.Uint32(h.body[8:]), sctpSum(h.body); got != 0 && got != want {
			t.Fatalf("%x: SCTP checksum is %x, want %x", p, got, want)
		}
	}
}

// transportSum sums up what TCP's and UDP's checksums cover.
func transportSum(p []byte) uint16 {
	if p[0]>>4 == 6 {
		return sum6(p)
	}
	body := p[20:]
	pseudo := append([]byte{}, p[12:20]...)
	pseudo = append(pseudo, 0, p[9], byte(len(body)>>8), byte(len(body)))
	return wire.Sum(append(pseudo, body...))
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
	quoted := readHeader(n.inner(r)).body[8:]
	if quoted[0]>>4 == 4 && wire.Sum(quoted[:20]) != 0xffff {
		n.t.Fatalf("%x: quoted header checksum is wrong", quoted)
	}
	src, dst := readHeader(quoted).ends()
	return fmt.Sprintf("%s about %s>%s", said, src, dst)
}
