package main

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/signet-cni/signet/tests/bench/measure"
	"github.com/signet-cni/signet/tests/netns/harness"
)

const (
	burst = 30 * time.Millisecond // a sample sends for so long, then waits for the rest to arrive
	// burstsEach are as many as one connection carries before there is another.
	burstsEach = 20
	burstLimit = 5 * time.Second // for all of a burst to arrive
	// burstEnd is a burst's last byte; all others are 0.
	burstEnd = 1
)

// bursts measures one connection after the other, each by many short samples.
// What a connection's throughput is varies from one tenth of a second to the
// next as much as from connection to connection: two that take turns faster than
// that are alike but for what sets them apart. Between samples the device is kept
// busy by the other side, so both sides have to go through the same one.
type bursts struct {
	from, to *harness.Host
	via      netip.AddrPort // what the client knows the server as

	conn  net.Conn
	heard chan error // of each burst that has arrived, or why not
	sent  int        // bursts
}

// burstsVia gives samples in Gbit/s.
func burstsVia(t *lab, from, to *harness.Host, via netip.AddrPort) measure.Side {
	b := &bursts{from: from, to: to, via: via}
	t.Cleanup(b.close)
	return b.sample
}

func (b *bursts) sample() (s measure.Sample, err error) {
	if b.sent%burstsEach == 0 {
		if s.Bytes, err = b.reopen(); err != nil {
			return s, err
		}
	}
	b.sent++
	began := time.Now()
	count, err := b.send(burst)
	s.Values = []float64{float64(count) * 8 / time.Since(began).Seconds() / 1e9}
	s.Bytes += count
	return s, err
}

// reopen begins anew, and tells how many bytes made the connection fast.
func (b *bursts) reopen() (int64, error) {
	b.close()
	l := b.to.Listen(benchPort)
	defer l.Close()
	client, err := b.from.Dial(b.via, burstLimit)
	if err != nil {
		return 0, err
	}
	b.conn, b.heard = client, make(chan error, 1)
	server, err := l.Accept()
	if err != nil {
		return 0, err
	}
	go hear(server, b.heard)
	return b.send(warmUp)
}

func (b *bursts) close() {
	if b.conn != nil {
		_ = b.conn.Close() // its server notices
	}
}

// send fills the connection for a while, and waits until all of it has arrived.
func (b *bursts) send(lasts time.Duration) (count int64, err error) {
	end := time.Now().Add(lasts)
	if err := b.conn.SetWriteDeadline(end.Add(burstLimit)); err != nil {
		return 0, err
	}
	buf := make([]byte, chunk)
	for last := false; !last; {
		if last = time.Now().After(end); last {
			buf[len(buf)-1] = burstEnd
		}
		n, err := b.conn.Write(buf)
		if err != nil {
			return count, err
		}
		count += int64(n)
	}
	select {
	case err := <-b.heard:
		return count, err
	case <-time.After(burstLimit):
		return count, fmt.Errorf("of %d bytes not all have arrived after %v", count, burstLimit)
	}
}

// hear reads until the connection ends, which it tells as well.
func hear(conn net.Conn, heard chan<- error) {
	defer conn.Close()
	buf := make([]byte, chunk)
	for {
		n, err := conn.Read(buf)
		if err != nil {
			heard <- errors.Join(errors.New("the connection has ended"), err)
			return
		}
		if buf[n-1] == burstEnd {
			heard <- nil
		}
	}
}
