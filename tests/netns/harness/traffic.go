package harness

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"time"
)

// Listen opens a TCP socket at a port of the host's own address.
func (h *Host) Listen(port uint16) net.Listener { return h.ListenAt(h.Addr, port) }

// ListenAt opens a TCP socket at an address of the host; it ends with the test.
func (h *Host) ListenAt(addr netip.Addr, port uint16) net.Listener {
	h.t.Helper()
	var l net.Listener
	h.Do(func() (err error) {
		var config net.ListenConfig
		config.SetMultipathTCP(false)
		l, err = config.Listen(context.Background(), "tcp", netip.AddrPortFrom(addr, port).String())
		return err
	})
	h.t.Cleanup(func() { _ = l.Close() }) // closed already, perhaps
	return l
}

// Dial opens a TCP connection within limit.
func (h *Host) Dial(to netip.AddrPort, limit time.Duration) (conn net.Conn, err error) {
	err = h.Try(func() error {
		dialer := net.Dialer{Timeout: limit, LocalAddr: &net.TCPAddr{IP: h.Addr.AsSlice()}}
		conn, err = dialer.Dial("tcp", to.String())
		return err
	})
	return conn, err
}

// EchoTCP answers what it hears at a port of the host's own address, until the
// test ends.
func (h *Host) EchoTCP(port uint16) {
	h.t.Helper()
	l := h.Listen(port)
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				_, _ = io.Copy(struct{ io.Writer }{conn}, conn) // until the client ends
				_ = conn.Close()
			}()
		}
	}()
}

// CallTCP connects to an EchoTCP, says something and hears the same.
func (h *Host) CallTCP(to netip.AddrPort, said []byte, limit time.Duration) error {
	conn, err := h.Dial(to, limit)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(limit)); err != nil {
		return err
	}
	if _, err := conn.Write(said); err != nil {
		return err
	}
	heard := make([]byte, len(said))
	if _, err := io.ReadFull(conn, heard); err != nil {
		return err
	}
	if !bytes.Equal(said, heard) {
		return errors.New("heard something else than was said")
	}
	return nil
}

// stream is an endless sequence of bytes that a seed determines.
func stream(seed uint64) io.Reader {
	var key [32]byte
	binary.LittleEndian.PutUint64(key[:], seed)
	return rand.NewChaCha8(key)
}

const chunk = 1 << 16

// send writes the first count bytes of a stream.
func send(w io.Writer, seed uint64, count int64) error {
	_, err := io.CopyBuffer(struct{ io.Writer }{w}, io.LimitReader(stream(seed), count), make([]byte, chunk))
	return err
}

// receive reads count bytes, which must be a stream's first.
func receive(r io.Reader, seed uint64, count int64) error {
	return receiveFrom(r, stream(seed), count)
}

// receiveFrom reads count bytes, which must be the next of source.
func receiveFrom(r, source io.Reader, count int64) error {
	want, got := make([]byte, chunk), make([]byte, chunk)
	for done := int64(0); done < count; {
		part := min(chunk, count-done)
		if _, err := io.ReadFull(source, want[:part]); err != nil {
			return err
		}
		if _, err := io.ReadFull(r, got[:part]); err != nil {
			return fmt.Errorf("after %d bytes: %w", done, err)
		}
		if !bytes.Equal(want[:part], got[:part]) {
			return fmt.Errorf("bytes %d to %d differ from what was sent", done, done+part)
		}
		done += part
	}
	return nil
}

// Exchange sends and receives count bytes at once over a connection; the
// other end must do the same with the seeds exchanged.
func Exchange(conn net.Conn, out, in uint64, count int64, limit time.Duration) error {
	if err := conn.SetDeadline(time.Now().Add(limit)); err != nil {
		return err
	}
	sent := make(chan error, 1)
	go func() { sent <- send(conn, out, count) }()
	err := receive(conn, in, count)
	return errors.Join(err, <-sent)
}

// Transfer connects, moves count bytes in each direction and compares them.
// The client may know the server by another address, via.
func Transfer(client, server *Host, via netip.AddrPort, port uint16, count int64) error {
	l := server.Listen(port)
	defer l.Close()
	served := make(chan error, 1)
	go func() { served <- serveOnce(l, count) }()
	conn, err := client.Dial(via, 5*time.Second)
	if err != nil {
		return errors.Join(err, l.Close(), <-served)
	}
	defer conn.Close()
	return errors.Join(Exchange(conn, 1, 2, count, transferLimit), <-served)
}

// transferLimit bounds each step of a Transfer.
const transferLimit = 20 * time.Second

func serveOnce(l net.Listener, count int64) error {
	if err := l.(*net.TCPListener).SetDeadline(time.Now().Add(transferLimit)); err != nil {
		return fmt.Errorf("serve: %w", err)
	}
	conn, err := l.Accept()
	if err != nil {
		return fmt.Errorf("accept: %w", err)
	}
	defer conn.Close()
	return Exchange(conn, 2, 1, count, transferLimit)
}

// Pour sends a stream over one connection, a chunk of 64 KiB each pause, until
// stop is closed, and compares all that arrives.
func Pour(client, server *Host, port uint16, pause time.Duration, stop <-chan struct{}) error {
	l := server.Listen(port)
	defer l.Close()
	received := make(chan error, 1)
	go func() { received <- receiveAll(l) }()
	conn, err := client.Dial(netip.AddrPortFrom(server.Addr, port), 5*time.Second)
	if err != nil {
		return errors.Join(err, l.Close(), <-received)
	}
	source, buf := stream(1), make([]byte, chunk)
	for running := true; running && err == nil; {
		select {
		case <-stop:
			running = false
		case <-time.After(pause):
			err = pourChunk(conn, source, buf)
		}
	}
	return errors.Join(err, conn.Close(), <-received)
}

func pourChunk(conn net.Conn, source io.Reader, buf []byte) error {
	if _, err := io.ReadFull(source, buf); err != nil {
		return err
	}
	if err := conn.SetWriteDeadline(time.Now().Add(transferLimit)); err != nil {
		return err
	}
	_, err := conn.Write(buf)
	return err
}

// receiveAll accepts one connection and compares what arrives until its end.
func receiveAll(l net.Listener) error {
	conn, err := l.Accept()
	if err != nil {
		return fmt.Errorf("accept: %w", err)
	}
	defer conn.Close()
	for source, chunks := stream(1), 0; ; chunks++ {
		if err := conn.SetReadDeadline(time.Now().Add(transferLimit)); err != nil {
			return err
		}
		switch err := receiveFrom(conn, source, chunk); {
		case errors.Is(err, io.EOF) && chunks > 0:
			return nil
		case err != nil:
			return fmt.Errorf("chunk %d: %w", chunks, err)
		}
	}
}
