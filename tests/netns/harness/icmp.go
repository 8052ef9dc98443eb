package harness

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"sync/atomic"
	"time"
)

const (
	icmpEchoReply = 0
	icmpEcho      = 8

	icmp6Echo      = 128 // RFC 4443 section 4
	icmp6EchoReply = 129
)

var pings atomic.Uint32 // each echo has an identifier of its own

// Ping sends one ICMP echo request with size bytes of data and waits for the
// answer.
func (h *Host) Ping(to netip.Addr, size int, limit time.Duration) error {
	var conn net.PacketConn
	network, request := "ip4:icmp", echoRequest(icmpEcho, uint16(pings.Add(1)), Filler(size))
	if to.Is6() {
		// The kernel fills in the checksum, which covers the addresses.
		network, request[0] = "ip6:ipv6-icmp", icmp6Echo
	}
	err := h.Try(func() (err error) {
		conn, err = net.ListenPacket(network, h.Addr.String())
		return err
	})
	if err != nil {
		return err
	}
	defer conn.Close()
	if _, err := conn.WriteTo(request, &net.IPAddr{IP: to.AsSlice()}); err != nil {
		return err
	}
	return awaitReply(conn, to, request, limit)
}

// echoRequest follows RFC 792.
func echoRequest(kind byte, id uint16, data []byte) []byte {
	p := append([]byte{kind, 0, 0, 0, 0, 0, 0, 1}, data...)
	binary.BigEndian.PutUint16(p[4:], id)
	binary.BigEndian.PutUint16(p[2:], Checksum(p))
	return p
}

// awaitReply skips what is no answer to the request.
func awaitReply(conn net.PacketConn, to netip.Addr, request []byte, limit time.Duration) error {
	if err := conn.SetReadDeadline(time.Now().Add(limit)); err != nil {
		return err
	}
	buf := make([]byte, 1<<16)
	for {
		n, from, err := conn.ReadFrom(buf)
		if err != nil {
			return err
		}
		answer := buf[:n]
		if n < 8 || answer[0] != icmpEchoReply && answer[0] != icmp6EchoReply || !bytes.Equal(answer[4:8], request[4:8]) {
			continue
		}
		if from.String() != to.String() {
			return fmt.Errorf("the answer comes from %s, not %s", from, to)
		}
		if !bytes.Equal(answer[8:], request[8:]) {
			return fmt.Errorf("%d bytes came back, unlike the %d sent", n-8, len(request)-8)
		}
		return nil
	}
}

// Checksum is the Internet checksum (RFC 1071).
func Checksum(b []byte) uint16 {
	var sum uint32
	for ; len(b) > 1; b = b[2:] {
		sum += uint32(binary.BigEndian.Uint16(b))
	}
	if len(b) == 1 {
		sum += uint32(b[0]) << 8
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}
