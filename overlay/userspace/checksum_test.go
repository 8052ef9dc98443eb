package userspace

import (
	"bytes"
	"encoding/binary"
	"testing"

	"golang.zx2c4.com/wireguard/tun"
)

// datagram is one over IPv6, without a checksum, whose last two bytes make the
// checksum come to want.
func datagram(payload int, want uint16) []byte {
	p := make([]byte, headerLen+udpLen+payload)
	p[0], p[protocolAt] = 0x60, 17
	binary.BigEndian.PutUint16(p[lengthAt:], uint16(udpLen+payload))
	copy(p[addressesAt:], "source source sodestination dest")
	copy(p[headerLen:], []byte{0x30, 0x39, 0, 7, 0, byte(udpLen + payload)})
	sum := add(uint64(udpLen+payload)+17, p[addressesAt:])
	binary.BigEndian.PutUint16(p[headerLen+udpLen:], add(uint64(^want)+uint64(^sum), nil))
	return p
}

// reader gives packets as package tun does.
type reader struct {
	tun.Device
	packets [][]byte
}

func (r reader) Read(bufs [][]byte, sizes []int, offset int) (int, error) {
	for i, p := range r.packets {
		sizes[i] = copy(bufs[i][offset:], p)
	}
	return len(r.packets), nil
}

func TestZeroChecksum(t *testing.T) {
	short, fragment, four := datagram(20, 0), datagram(20, 0), datagram(20, 0)
	short[5]--
	fragment[protocolAt] = 44
	four[0] = 0x45
	present := datagram(20, 0)
	present[checksumAt] = 1
	odd := append(datagram(21, 0), 0)
	for _, c := range []struct {
		name   string
		packet []byte
		mended bool
	}{
		{"comes to zero", datagram(20, 0), true},
		{"comes to zero, of odd length", datagram(21, 0), true},
		{"was sent without one", datagram(20, 0x1234), false},
		{"has one", present, false},
		{"says that it is shorter", short, false},
		{"is followed by more", odd, false},
		{"is a fragment", fragment, false},
		{"is no IPv6", four, false},
		{"is cut off", datagram(20, 0)[:47], false},
		{"is empty", nil, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			const offset = 16
			bufs, sizes := [][]byte{make([]byte, 200)}, make([]int, 1)
			if n, err := (whole{reader{packets: [][]byte{c.packet}}}).Read(bufs, sizes, offset); n != 1 || err != nil {
				t.Fatal(n, err)
			}
			want := bytes.Clone(c.packet)
			if c.mended {
				want[checksumAt], want[checksumAt+1] = 0xff, 0xff
			}
			if got := bufs[0][offset : offset+sizes[0]]; !bytes.Equal(got, want) {
				t.Errorf("got %x\nwant %x", got, want)
			}
		})
	}
}
