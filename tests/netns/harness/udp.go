package harness

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// maxDatagram is the largest UDP payload over IPv4, in bytes.
const maxDatagram = 65507

// patience is how much a socket keeps for its reader, in bytes: what is lost
// in a test is the network's, however late the reader gets the processor.
const patience = 8 << 20

// UDP opens a socket at a port (0: any) of the host's own address. It ends
// with the test.
func (h *Host) UDP(port uint16) *net.UDPConn {
	h.t.Helper()
	var conn *net.UDPConn
	h.Do(func() (err error) {
		if conn, err = net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(h.Addr, port))); err != nil {
			return err
		}
		return setOption(conn, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, patience)
	})
	h.t.Cleanup(func() { _ = conn.Close() }) // closed already, perhaps
	return conn
}

// EchoUDP answers every datagram to a port with itself until stop is called or
// the test ends.
func (h *Host) EchoUDP(port uint16) (stop func()) {
	h.t.Helper()
	conn := h.UDP(port)
	Answer(conn)
	return func() { _ = conn.Close() }
}

// Answer sends every datagram back until the socket is closed.
func Answer(conn *net.UDPConn) {
	go func() {
		buf := make([]byte, maxDatagram)
		for {
			n, from, err := conn.ReadFromUDPAddrPort(buf)
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if err == nil {
				_, _ = conn.WriteToUDPAddrPort(buf[:n], from) // the client notices
			}
		}
	}()
}

// Discover sets what the kernel does with datagrams larger than the path: one
// of unix.IP_PMTUDISC_*. With IP_PMTUDISC_DO every packet has DF.
func Discover(conn *net.UDPConn, mode int) error {
	if conn.LocalAddr().(*net.UDPAddr).AddrPort().Addr().Unmap().Is6() { // the modes have the same numbers
		return setOption(conn, unix.IPPROTO_IPV6, unix.IPV6_MTU_DISCOVER, mode)
	}
	return setOption(conn, unix.IPPROTO_IP, unix.IP_MTU_DISCOVER, mode)
}

func setOption(conn *net.UDPConn, level, option, value int) error {
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	var set error
	err = raw.Control(func(fd uintptr) { set = unix.SetsockoptInt(int(fd), level, option, value) })
	return errors.Join(err, set)
}

// Echo sends a datagram and waits for the same to come back from where it
// went.
func Echo(conn *net.UDPConn, to netip.AddrPort, payload []byte, limit time.Duration) error {
	if _, err := conn.WriteToUDPAddrPort(payload, to); err != nil {
		return err
	}
	return awaitEcho(conn, to, payload, limit)
}

func awaitEcho(conn *net.UDPConn, to netip.AddrPort, payload []byte, limit time.Duration) error {
	if err := conn.SetReadDeadline(time.Now().Add(limit)); err != nil {
		return err
	}
	buf := make([]byte, maxDatagram)
	n, from, err := conn.ReadFromUDPAddrPort(buf)
	if err != nil {
		return err
	}
	if from != to {
		return fmt.Errorf("the answer comes from %s, not %s", from, to)
	}
	if !bytes.Equal(buf[:n], payload) {
		return fmt.Errorf("%d bytes came back, unlike the %d sent", n, len(payload))
	}
	return nil
}

// EchoOnce is Echo over a socket of its own.
func (h *Host) EchoOnce(to netip.AddrPort, payload []byte, limit time.Duration) error {
	h.t.Helper()
	conn := h.UDP(0)
	defer conn.Close()
	return Echo(conn, to, payload, limit)
}

// Filler gives count bytes without a pattern.
func Filler(count int) []byte {
	b := make([]byte, count)
	_, _ = stream(uint64(count)).Read(b) // never fails
	return b
}

// SendSegments sends payload as datagrams of size bytes in one call: UDP
// segmentation offload (UDP_SEGMENT).
func SendSegments(conn *net.UDPConn, to netip.AddrPort, payload []byte, size uint16) error {
	control := make([]byte, unix.CmsgSpace(2))
	header := (*unix.Cmsghdr)(unsafe.Pointer(&control[0]))
	header.Level, header.Type = unix.SOL_UDP, unix.UDP_SEGMENT
	header.SetLen(unix.CmsgLen(2))
	binary.NativeEndian.PutUint16(control[unix.CmsgLen(0):], size)
	_, _, err := conn.WriteMsgUDPAddrPort(payload, control, to)
	return err
}

// DialUDP opens a socket that is connected, and so hears of ICMP errors.
func (h *Host) DialUDP(to netip.AddrPort) (conn *net.UDPConn, err error) {
	err = h.Try(func() error {
		from := net.UDPAddrFromAddrPort(netip.AddrPortFrom(h.Addr, 0))
		conn, err = net.DialUDP("udp", from, net.UDPAddrFromAddrPort(to))
		return err
	})
	return conn, err
}
