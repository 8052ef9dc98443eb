package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"time"

	"github.com/signet-cni/signet/tests/netns/harness"
)

// cases by name.
var cases = map[string]func(t *lab, w io.Writer, rounds int) (results, error){
	"tcp": measureTCP,
}

const (
	benchPort = 5201
	warmUp    = 300 * time.Millisecond // not measured
	duration  = 1500 * time.Millisecond
	chunk     = 128 << 10 // bytes a call writes or reads
)

// measureTCP compares one TCP flow between pods on two nodes with one between
// two machines through nothing but WireGuard.
func measureTCP(t *lab, w io.Writer, rounds int) (results, error) {
	harness.Require(t)
	c := harness.NewCluster(t, 2, harness.Options{})
	a := c.AddPod(c.Nodes[0], harness.Role("client"))
	b := c.AddPod(c.Nodes[1], harness.Role("server"))
	bareA, bareB := c.BarePair()
	r := results{Unit: "Gbit/s", WireGuard: c.Nodes[0].WireGuard(), Kernel: kernel()}
	for i := range rounds {
		p := pair{}
		for _, side := range order(i) {
			var err error
			if side == bare {
				p.Bare, err = flow(bareA, bareB)
			} else {
				p.Signet, err = flow(&a.Host, &b.Host)
			}
			if err != nil {
				return r, fmt.Errorf("round %d: %w", i+1, err)
			}
		}
		fmt.Fprintf(w, "round %d: bare %.2f, Signet %.2f Gbit/s, ratio %.3f\n", i+1, p.Bare, p.Signet, p.ratio())
		r.Pairs = append(r.Pairs, p)
	}
	return r, nil
}

// flow measures how many Gbit/s arrive over one connection.
func flow(from, to *harness.Host) (float64, error) {
	l := to.Listen(benchPort)
	defer l.Close()
	type rate struct {
		gbit float64
		err  error
	}
	received := make(chan rate, 1)
	go func() {
		gbit, err := receive(l)
		received <- rate{gbit, err}
	}()
	conn, err := from.Dial(netip.AddrPortFrom(to.Addr, benchPort), 5*time.Second)
	if err != nil {
		return 0, errors.Join(err, l.Close(), (<-received).err)
	}
	err = send(conn)
	got := <-received
	return got.gbit, errors.Join(err, got.err)
}

func send(conn net.Conn) error {
	defer conn.Close()
	end := time.Now().Add(warmUp + duration + warmUp)
	if err := conn.SetDeadline(end.Add(5 * time.Second)); err != nil {
		return err
	}
	for buf := make([]byte, chunk); time.Now().Before(end); {
		if _, err := conn.Write(buf); err != nil {
			return err
		}
	}
	return nil
}

// receive counts what arrives in the middle of the connection's life.
func receive(l net.Listener) (float64, error) {
	conn, err := l.Accept()
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		return 0, err
	}
	buf := make([]byte, chunk)
	if _, err := countUntil(conn, buf, time.Now().Add(warmUp)); err != nil {
		return 0, err
	}
	started := time.Now()
	count, err := countUntil(conn, buf, started.Add(duration))
	if err != nil {
		return 0, err
	}
	took := time.Since(started)
	_, err = io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{conn}, buf)
	return float64(count) * 8 / took.Seconds() / 1e9, err
}

func countUntil(conn net.Conn, buf []byte, end time.Time) (count int64, err error) {
	for time.Now().Before(end) {
		n, err := conn.Read(buf)
		if err != nil {
			return count, err
		}
		count += int64(n)
	}
	return count, nil
}
