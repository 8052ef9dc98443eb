package probe

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"
)

// answerTime bounds one TCP connection.
const answerTime = 10 * time.Second

// Serve answers over TCP and UDP on an address (empty: all) and the given ports
// until ctx ends. It fails if it cannot listen on one of them.
func Serve(ctx context.Context, name, address string, ports []uint16) error {
	s := &server{name: name}
	defer s.running.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	for _, port := range ports {
		if err := s.listen(ctx, net.JoinHostPort(address, strconv.Itoa(int(port)))); err != nil {
			return err
		}
	}
	<-ctx.Done()
	return nil
}

type server struct {
	name    string
	running sync.WaitGroup
}

// listen opens both sockets of a port; they close with ctx.
func (s *server) listen(ctx context.Context, at string) error {
	var config net.ListenConfig
	tcp, err := config.Listen(ctx, "tcp", at)
	if err != nil {
		return err
	}
	context.AfterFunc(ctx, func() { _ = tcp.Close() })
	udp, err := config.ListenPacket(ctx, "udp", at)
	if err != nil {
		return err
	}
	context.AfterFunc(ctx, func() { _ = udp.Close() })
	s.running.Go(func() { s.accept(tcp) })
	s.running.Go(func() { s.datagrams(udp) })
	return nil
}

func (s *server) accept(l net.Listener) {
	for {
		conn, err := l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			time.Sleep(10 * time.Millisecond) // out of descriptors
			continue
		}
		s.running.Go(func() { s.stream(conn) })
	}
}

func (s *server) stream(conn net.Conn) {
	defer func() { _ = conn.Close() }() // the client has its answer or not
	_ = conn.SetDeadline(time.Now().Add(answerTime))
	line, err := bufio.NewReaderSize(conn, maxLine).ReadSlice('\n')
	if err == nil {
		_, _ = conn.Write(s.answer(conn.RemoteAddr(), line)) // the client asks again
	}
}

func (s *server) datagrams(conn net.PacketConn) {
	question := make([]byte, maxLine)
	for {
		n, from, err := conn.ReadFrom(question)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err == nil {
			_, _ = conn.WriteTo(s.answer(from, question[:n]), from) // the client asks again
		}
	}
}

func (s *server) answer(from net.Addr, question []byte) []byte {
	return fmt.Appendf(nil, "%s %s %s\n", s.name, from, strings.TrimSpace(string(question)))
}
