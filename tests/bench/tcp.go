package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/signet-cni/signet/tests/bench/measure"
	"github.com/signet-cni/signet/tests/bench/report"
	"github.com/signet-cni/signet/tests/netns/harness"
)

const (
	benchPort = 5201
	warmUp    = 150 * time.Millisecond // not measured
	duration  = 250 * time.Millisecond
	coolDown  = 50 * time.Millisecond // not measured
	chunk     = 128 << 10             // bytes a call writes or reads
	// throughputRounds are as many times those of other cases, as samples are
	// short: how fast one connection is depends on the processors that its
	// threads happen to be on, so several say more than a long one.
	throughputRounds = 2
)

// measureTCP compares TCP between pods on two nodes with TCP between two
// machines through nothing but WireGuard.
func measureTCP(t *lab) (rows []report.Row, err error) {
	p := newPods(t)
	for _, flows := range []int{1, 8} {
		more, err := measure.Comparison{
			Metrics: []measure.Metric{{
				Name: fmt.Sprintf("tcp-%d", flows), Unit: "Gbit/s", Target: report.Target{AtLeast: 1},
			}},
			Against: p.bareName(), Effort: t.effort.Times(throughputRounds),
			Signet: throughput(&p.client.Host, &p.far.Host, flows),
			Base:   throughput(p.bareA, p.bareB, flows),
		}.Run(t.log)
		if err != nil {
			return rows, err
		}
		rows = append(rows, more...)
	}
	return rows, nil
}

// throughput measures the Gbit/s that arrive over so many connections at once.
func throughput(from, to *harness.Host, flows int) measure.Side {
	return func() (measure.Sample, error) {
		l := to.Listen(benchPort)
		defer l.Close()
		received := make(chan arrived, flows)
		go func() {
			for range flows {
				conn, err := l.Accept()
				if err != nil {
					received <- arrived{err: err}
					continue
				}
				go func() { received <- receive(conn) }()
			}
		}()
		err := sendAll(from, netip.AddrPortFrom(to.Addr, benchPort), flows)
		if err != nil {
			return measure.Sample{}, err
		}
		return addUp(received, flows)
	}
}

// sendAll fills so many connections until all of them have been measured.
func sendAll(from *harness.Host, to netip.AddrPort, flows int) error {
	errs := make([]error, flows)
	var wait sync.WaitGroup
	for i := range flows {
		wait.Go(func() {
			conn, err := from.Dial(to, 5*time.Second)
			if err == nil {
				err = send(conn)
			}
			errs[i] = err
		})
	}
	wait.Wait()
	return errors.Join(errs...)
}

func send(conn net.Conn) error {
	defer conn.Close()
	end := time.Now().Add(warmUp + duration + coolDown)
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

// arrived is what one connection brought while it was measured, and in all.
type arrived struct {
	gbit  float64 // Gbit/s
	total int64   // bytes
	err   error
}

func addUp(received <-chan arrived, flows int) (measure.Sample, error) {
	var sum arrived
	for range flows {
		got := <-received
		sum.gbit += got.gbit
		sum.total += got.total
		sum.err = errors.Join(sum.err, got.err)
	}
	return measure.Sample{Values: []float64{sum.gbit}, Bytes: sum.total}, sum.err
}

// receive counts what arrives in the middle of the connection's life.
func receive(conn net.Conn) (got arrived) {
	defer conn.Close()
	if got.err = conn.SetDeadline(time.Now().Add(time.Minute)); got.err != nil {
		return got
	}
	buf := make([]byte, chunk)
	early, err := countUntil(conn, buf, time.Now().Add(warmUp))
	if err != nil {
		return arrived{err: err}
	}
	started := time.Now()
	count, err := countUntil(conn, buf, started.Add(duration))
	if err != nil {
		return arrived{err: err}
	}
	got.gbit = float64(count) * 8 / time.Since(started).Seconds() / 1e9
	late, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{conn}, buf)
	got.total, got.err = early+count+late, err
	return got
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
