package main

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"time"

	"github.com/signet-cni/signet/tests/bench/measure"
	"github.com/signet-cni/signet/tests/bench/report"
	"github.com/signet-cni/signet/tests/netns/harness"
)

// opening is for how long a sample opens connections.
const opening = 600 * time.Millisecond

// measureConnections compares how many connections a second a pod opens to one
// on another node, one byte each way, with the same over nothing but WireGuard.
func measureConnections(t *lab) ([]report.Row, error) {
	p := newPods(t)
	return measure.Comparison{
		Metrics: []measure.Metric{{Name: "connections", Unit: "1/s", Target: report.Target{AtLeast: 0.95}}},
		Against: p.bareName(), Effort: t.effort,
		Signet: connections(&p.client.Host, &p.far.Host),
		Base:   connections(p.bareA, p.bareB),
	}.Run(t.log)
}

// connections measures connections a second, one after the other.
func connections(from, to *harness.Host) measure.Side {
	return func() (measure.Sample, error) {
		l := to.Listen(benchPort)
		served := make(chan error, 1)
		go func() { served <- echoEach(l) }()
		count, took, err := open(from, netip.AddrPortFrom(to.Addr, benchPort))
		err = errors.Join(err, l.Close(), <-served)
		return measure.Sample{Values: []float64{float64(count) / took.Seconds()}}, err
	}
}

// echoEach serves connections, one after the other, until l is closed.
func echoEach(l net.Listener) error {
	buf := make([]byte, 1)
	for {
		conn, err := l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return nil
		} else if err != nil {
			return err
		}
		if _, err := io.ReadFull(conn, buf); err == nil {
			_, _ = conn.Write(buf) // the client notices
		}
		_ = conn.Close()
	}
}

// open opens connections for a while, from one thread of the client's
// namespace. They end by a reset, so that no port is left waiting.
func open(from *harness.Host, to netip.AddrPort) (count int, took time.Duration, err error) {
	err = from.Try(func() error {
		began := time.Now()
		for ; took < opening; took = time.Since(began) {
			if err := openOne(to); err != nil {
				return err
			}
			count++
		}
		return nil
	})
	return count, took, err
}

func openOne(to netip.AddrPort) error {
	conn, err := net.DialTCP("tcp4", nil, net.TCPAddrFromAddrPort(to))
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := errors.Join(conn.SetLinger(0), conn.SetDeadline(time.Now().Add(5*time.Second))); err != nil {
		return err
	}
	buf := make([]byte, 1)
	if _, err := conn.Write(buf); err != nil {
		return err
	}
	_, err = io.ReadFull(conn, buf)
	return err
}
