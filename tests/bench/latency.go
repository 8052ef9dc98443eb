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

const (
	exchanges = 1000 // of one byte each way, over one connection
	settling  = 200  // before them, not measured
	// latencyRounds are as many times those of other cases: which processors a
	// connection's threads are on decides how long its exchanges take, so many
	// short connections say more than a few long ones.
	latencyRounds = 4
)

// measureLatency compares request and response of one byte between pods on two
// nodes with the same between two machines over nothing but WireGuard.
func measureLatency(t *lab) ([]report.Row, error) {
	return compareLatency(t, []measure.Metric{
		{Name: "latency-p50", Unit: "µs", Target: report.Target{AtMost: 1.05}},
		{Name: "latency-p99", Unit: "µs", Target: report.Target{AtMost: 1.10}},
	})
}

// measureLatencyAsleep is measureLatency where processors sleep in between,
// which is reported without a target: see keepAwake.
func measureLatencyAsleep(t *lab) ([]report.Row, error) {
	return compareLatency(t, []measure.Metric{
		{Name: "latency-asleep-p50", Unit: "µs"},
		{Name: "latency-asleep-p99", Unit: "µs"},
	})
}

func compareLatency(t *lab, metrics []measure.Metric) ([]report.Row, error) {
	p := newPods(t)
	return measure.Comparison{
		Metrics: metrics, Against: p.bareName(), Effort: t.effort.Times(latencyRounds),
		Signet: latency(&p.client.Host, &p.far.Host),
		Base:   latency(p.bareA, p.bareB),
	}.Run(t.log)
}

// latency measures how many microseconds an exchange takes: median and 99th
// percentile.
func latency(from, to *harness.Host) measure.Side {
	return func() (measure.Sample, error) {
		l := to.Listen(benchPort)
		defer l.Close()
		served := make(chan error, 1)
		go func() { served <- echo(l) }()
		conn, err := from.Dial(netip.AddrPortFrom(to.Addr, benchPort), 5*time.Second)
		if err != nil {
			return measure.Sample{}, errors.Join(err, l.Close(), <-served)
		}
		took, err := exchange(conn)
		err = errors.Join(err, conn.Close(), <-served)
		return measure.Sample{Values: []float64{report.Median(took), report.Percentile(took, 99)}}, err
	}
}

// echo sends all bytes of one connection back.
func echo(l net.Listener) error {
	conn, err := l.Accept()
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		return err
	}
	buf := make([]byte, 1)
	for {
		if _, err := conn.Read(buf); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		if _, err := conn.Write(buf); err != nil {
			return err
		}
	}
}

// exchange gives the microseconds that each exchange took.
func exchange(conn net.Conn) ([]float64, error) {
	if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		return nil, err
	}
	took := make([]float64, 0, exchanges)
	buf := make([]byte, 1)
	for i := range settling + exchanges {
		began := time.Now()
		if _, err := conn.Write(buf); err != nil {
			return nil, err
		}
		if _, err := io.ReadFull(conn, buf); err != nil {
			return nil, err
		}
		if i >= settling {
			took = append(took, float64(time.Since(began).Nanoseconds())/1000)
		}
	}
	return took, nil
}
