package userspace

import (
	"encoding/binary"

	"golang.org/x/sys/unix"
	"golang.zx2c4.com/wireguard/tun"
)

// whole is a TUN device whose UDP checksums are right. The kernel leaves them to
// the reader (virtio's VIRTIO_NET_HDR_F_NEEDS_CSUM), and package tun writes 0 for
// one that comes to zero, which says that there is none; over IPv6 such a
// datagram is lost (RFC 8200 section 8.1). One in 65,536 is of that sort.
type whole struct{ tun.Device }

// Read implements tun.Device.
func (w whole) Read(bufs [][]byte, sizes []int, offset int) (int, error) {
	n, err := w.Device.Read(bufs, sizes, offset)
	for i := range n {
		mendUDP(bufs[i][offset : offset+sizes[i]])
	}
	return n, err
}

// Of an IPv6 packet without extension headers, in bytes (RFC 8200, RFC 768).
const (
	headerLen   = 40
	lengthAt    = 4
	protocolAt  = 6
	addressesAt = 8
	checksumAt  = headerLen + 6
	udpLen      = 8
)

// mendUDP writes the other zero where the checksum of a datagram comes to zero.
// It leaves alone what has a checksum, and what was sent without one: an IPv4
// packet in the tunnel may have been.
func mendUDP(p []byte) {
	if len(p) < headerLen+udpLen || p[0]>>4 != 6 || p[protocolAt] != unix.IPPROTO_UDP ||
		binary.BigEndian.Uint16(p[checksumAt:]) != 0 {
		return
	}
	length := binary.BigEndian.Uint16(p[lengthAt:])
	if int(length) != len(p)-headerLen {
		return
	}
	if sum := add(uint64(length)+unix.IPPROTO_UDP, p[addressesAt:]); sum == 0xffff {
		binary.BigEndian.PutUint16(p[checksumAt:], 0xffff)
	}
}

// add adds 16-bit words to a one's complement sum, and folds it.
func add(sum uint64, p []byte) uint16 {
	for ; len(p) > 1; p = p[2:] {
		sum += uint64(binary.BigEndian.Uint16(p))
	}
	if len(p) == 1 {
		sum += uint64(p[0]) << 8
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return uint16(sum)
}
