package harness

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// Crowd is many live TCP connections, each of which asks and hears the answer
// again and again.
type Crowd struct {
	conns   []*net.TCPConn
	stop    chan struct{}
	talking sync.WaitGroup
	answers atomic.Int64

	mu     sync.Mutex
	broken []error
}

// Gather opens count connections to an EchoTCP and lets each ask every pause,
// until Disperse.
func Gather(t TB, client *Host, to netip.AddrPort, count int, pause time.Duration) *Crowd {
	t.Helper()
	c := &Crowd{stop: make(chan struct{})}
	for range count {
		conn, err := client.Dial(to, 5*time.Second)
		if err != nil {
			t.Fatalf("connection %d: %v", len(c.conns)+1, err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		c.conns = append(c.conns, conn.(*net.TCPConn))
	}
	for _, conn := range c.conns {
		c.talking.Go(func() {
			if err := c.talk(conn, pause); err != nil {
				c.mu.Lock()
				defer c.mu.Unlock()
				c.broken = append(c.broken, err)
			}
		})
	}
	return c
}

func (c *Crowd) talk(conn net.Conn, pause time.Duration) error {
	heard := make([]byte, 8)
	for number := uint64(1); ; number++ {
		select {
		case <-c.stop:
			return nil
		case <-time.After(pause):
		}
		if err := conn.SetDeadline(time.Now().Add(transferLimit)); err != nil {
			return err
		}
		said := binary.BigEndian.AppendUint64(nil, number)
		if _, err := conn.Write(said); err != nil {
			return err
		}
		if _, err := io.ReadFull(conn, heard); err != nil {
			return err
		}
		if !bytes.Equal(said, heard) {
			return fmt.Errorf("question %d: heard %x", number, heard)
		}
		c.answers.Add(1)
	}
}

// Disperse ends the talk, says how many answers came and how many segments the
// client had to send again, and gives an error if a connection broke.
func (c *Crowd) Disperse() (answers, again int, err error) {
	close(c.stop)
	c.talking.Wait()
	err = errors.Join(c.broken...)
	for _, conn := range c.conns {
		raw, rawErr := conn.SyscallConn()
		if rawErr != nil {
			return 0, 0, errors.Join(err, rawErr)
		}
		err = errors.Join(err, raw.Control(func(fd uintptr) {
			info, infoErr := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
			if infoErr == nil {
				again += int(info.Total_retrans)
			}
			err = errors.Join(err, infoErr)
		}))
	}
	return int(c.answers.Load()), again, err
}
