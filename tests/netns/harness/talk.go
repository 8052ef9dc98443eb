package harness

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"time"
)

// Talk is a live TCP connection to a server that echoes lines.
type Talk struct {
	conn  net.Conn
	lines *bufio.Reader
	said  int
}

// Converse opens a connection that lasts until the test ends. The client knows
// the server as via.
func Converse(t TB, client, server *Host, via netip.AddrPort, port uint16) *Talk {
	t.Helper()
	l := server.Listen(port)
	defer l.Close()
	go func() {
		conn, err := l.Accept()
		if err != nil {
			return // the client notices
		}
		t.Cleanup(func() { _ = conn.Close() })
		_, _ = io.Copy(struct{ io.Writer }{conn}, conn) // until either end is closed
	}()
	conn, err := client.Dial(via, 5*time.Second)
	if err != nil {
		t.Fatalf("%s to %s: %v", client.name, via, err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	talk := &Talk{conn: conn, lines: bufio.NewReader(conn)}
	if err := talk.Say(5 * time.Second); err != nil {
		t.Fatalf("%s to %s: %v", client.name, via, err)
	}
	return talk
}

// Say sends a line and waits for it to come back.
func (t *Talk) Say(limit time.Duration) error {
	t.said++
	if _, err := fmt.Fprintln(t.conn, t.said); err != nil {
		return err
	}
	return t.Hear(limit)
}

// Hear waits for the line that was said last.
func (t *Talk) Hear(limit time.Duration) error {
	if err := t.conn.SetReadDeadline(time.Now().Add(limit)); err != nil {
		return err
	}
	for {
		line, err := t.lines.ReadString('\n')
		if err != nil {
			return err
		}
		var heard int
		if _, err := fmt.Sscan(line, &heard); err != nil {
			return fmt.Errorf("heard %q: %w", line, err)
		}
		if heard == t.said {
			return nil
		}
		if heard > t.said {
			return errors.New("heard what was not said")
		}
	}
}

// Local is the client's end.
func (t *Talk) Local() string { return t.conn.LocalAddr().String() }
