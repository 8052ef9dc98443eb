package harness

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net/netip"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// SCTPPacket builds an SCTP packet with a right checksum (RFC 9260). The chunks
// are taken as they are; tag 0 is an INIT's.
func SCTPPacket(src, dst netip.AddrPort, tag uint32, chunks []byte) Packet {
	body := append(make([]byte, 12), chunks...)
	binary.BigEndian.PutUint16(body, src.Port())
	binary.BigEndian.PutUint16(body[2:], dst.Port())
	binary.BigEndian.PutUint32(body[4:], tag)
	binary.LittleEndian.PutUint32(body[8:], crc32.Checksum(body, castagnoli))
	return Packet{Src: src.Addr(), Dst: dst.Addr(), Protocol: unix.IPPROTO_SCTP, Payload: body}
}

// ReadSCTP gives the ends and the chunks of an IPv4 SCTP packet without
// options. The checksum must be right.
func ReadSCTP(p []byte) (src, dst netip.AddrPort, chunks []byte, err error) {
	if len(p) < 32 || p[0] != 0x45 || p[9] != unix.IPPROTO_SCTP {
		return src, dst, nil, fmt.Errorf("no SCTP packet: %x", p)
	}
	body := append([]byte{}, p[20:binary.BigEndian.Uint16(p[2:])]...)
	sum := binary.LittleEndian.Uint32(body[8:])
	copy(body[8:12], make([]byte, 4))
	if want := crc32.Checksum(body, castagnoli); sum != want {
		return src, dst, nil, fmt.Errorf("checksum %08x, want %08x", sum, want)
	}
	src = netip.AddrPortFrom(netip.AddrFrom4([4]byte(p[12:])), binary.BigEndian.Uint16(body))
	dst = netip.AddrPortFrom(netip.AddrFrom4([4]byte(p[16:])), binary.BigEndian.Uint16(body[2:]))
	return src, dst, body[12:], nil
}

// HasSCTP reports whether the kernel has SCTP sockets.
func HasSCTP() bool {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, unix.IPPROTO_SCTP)
	if err != nil {
		return false
	}
	_ = unix.Close(fd)
	return true
}

// sctpSocket opens a socket whose calls take so long at most.
func (h *Host) sctpSocket(limit time.Duration, use func(fd int) error) (*os.File, error) {
	var file *os.File
	err := h.Try(func() error {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, unix.IPPROTO_SCTP)
		if err != nil {
			return fmt.Errorf("SCTP socket: %w", err)
		}
		wait := unix.NsecToTimeval(limit.Nanoseconds())
		err = errors.Join(unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &wait),
			unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &wait), use(fd))
		file = os.NewFile(uintptr(fd), "sctp")
		if err != nil {
			return errors.Join(err, file.Close())
		}
		return nil
	})
	return file, err
}

// TransferSCTP connects, moves count bytes to the server and back over one
// association, and compares them. The client knows the server as via.
func TransferSCTP(client, server *Host, via netip.AddrPort, port uint16, count int, limit time.Duration) error {
	listener, err := server.sctpSocket(limit, func(fd int) error {
		// The last association on the port may not be over yet.
		reuse := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1)
		return errors.Join(reuse, unix.Bind(fd, &unix.SockaddrInet4{Port: int(port), Addr: server.Addr.As4()}), unix.Listen(fd, 1))
	})
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	defer listener.Close()
	served := make(chan error, 1)
	go func() { served <- echoSCTP(listener, count) }()
	conn, err := client.sctpSocket(limit, func(fd int) error {
		return connect(fd, &unix.SockaddrInet4{Port: int(via.Port()), Addr: via.Addr().As4()}, limit)
	})
	if err != nil { // and the port is free when nobody waits there
		return errors.Join(fmt.Errorf("connect: %w", err), <-served)
	}
	defer conn.Close()
	if err := send(conn, 1, int64(count)); err != nil {
		return errors.Join(err, <-served)
	}
	return errors.Join(receive(conn, 1, int64(count)), <-served)
}

func echoSCTP(listener *os.File, count int) error {
	fd, err := accept(int(listener.Fd()))
	if err != nil {
		return fmt.Errorf("accept: %w", err)
	}
	conn := os.NewFile(uintptr(fd), "sctp")
	defer conn.Close()
	buf := make([]byte, count)
	if _, err := io.ReadFull(conn, buf); err != nil {
		return err
	}
	_, err = conn.Write(buf)
	return err
}

// accept goes on where a signal interrupts it: calls on a socket with a time
// limit are not started again (signal(7)).
func accept(listener int) (fd int, err error) {
	for {
		fd, _, err = unix.Accept(listener)
		if !errors.Is(err, unix.EINTR) {
			return fd, err
		}
	}
}

// connect goes on likewise, until limit is over; the association comes about
// meanwhile.
func connect(fd int, to unix.Sockaddr, limit time.Duration) error {
	for deadline := time.Now().Add(limit); ; {
		err := unix.Connect(fd, to)
		switch {
		case errors.Is(err, unix.EISCONN):
			return nil
		case errors.Is(err, unix.EALREADY) && time.Now().Before(deadline):
			time.Sleep(10 * time.Millisecond)
		case !errors.Is(err, unix.EINTR):
			return err
		}
	}
}
