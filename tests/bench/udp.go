package main

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"net"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"

	"github.com/signet-cni/signet/tests/bench/measure"
	"github.com/signet-cni/signet/tests/bench/report"
	"github.com/signet-cni/signet/tests/netns/harness"
)

const (
	datagram    = 1200 // bytes, fits every MTU here
	udpTrial    = 200 * time.Millisecond
	udpTick     = time.Millisecond // between bursts
	udpGrace    = 20 * time.Millisecond
	udpDrained  = 5 * time.Second // for what queues still hold
	udpBuffer   = 4 << 20         // bytes, of the receiving socket
	slowestUDP  = 1_000           // datagrams a second
	fastestUDP  = 128_000         // never more than that is sent
	udpHalvings = 7               // to within 4 %
	udpTries    = 2               // of a rate, before it is given up
	udpLoss     = 0.001           // share of the datagrams that may be lost
)

// measureUDP compares the rate at which datagrams pass between pods on two
// nodes without loss with the same through nothing but WireGuard.
func measureUDP(t *lab) ([]report.Row, error) {
	p := newPods(t)
	return measure.Comparison{
		Metrics: []measure.Metric{{Name: "udp", Unit: "1/s"}},
		Against: p.bareName(), Effort: t.effort,
		Signet: lossFree(&p.client.Host, &p.far.Host), Base: lossFree(p.bareA, p.bareB),
	}.Run(t.log)
}

// lossFree searches for the highest rate that passes.
func lossFree(from, to *harness.Host) measure.Side {
	return func() (measure.Sample, error) {
		receiver, sender := to.UDP(benchPort), from.UDP(0)
		defer receiver.Close()
		defer sender.Close()
		if err := enlarge(receiver); err != nil {
			return measure.Sample{}, err
		}
		rate, err := search(slowestUDP, fastestUDP, udpHalvings, func(rate float64) (bool, error) {
			return passes(sender, receiver, netip.AddrPortFrom(to.Addr, benchPort), rate)
		})
		return measure.Sample{Values: []float64{rate}}, err
	}
}

// search finds the highest value of which passes is true, on a scale on which
// equal steps are equal factors, by halving what lies between low and high.
func search(low, high float64, halvings int, passes func(float64) (bool, error)) (float64, error) {
	if ok, err := passes(low); err != nil || !ok {
		return 0, cmp.Or(err, fmt.Errorf("not even %.0f pass without loss", low))
	}
	for range halvings {
		middle := math.Sqrt(low * high)
		ok, err := passes(middle)
		if err != nil {
			return 0, err
		}
		if ok {
			low = middle
		} else {
			high = middle
		}
	}
	return low, nil
}

// passes tries a rate, again if it fails: what else the machine does must not
// end the search early.
func passes(sender, receiver *net.UDPConn, to netip.AddrPort, rate float64) (bool, error) {
	for range udpTries {
		arrived, err := try(sender, receiver, to, rate)
		if err != nil || float64(arrived) >= math.Floor(rate*udpTrial.Seconds())*(1-udpLoss) {
			return err == nil, err
		}
	}
	return false, nil
}

// try sends at a rate and counts what arrives until shortly after: a queue that
// has grown meanwhile is a loss, too.
func try(sender, receiver *net.UDPConn, to netip.AddrPort, rate float64) (arrived int, err error) {
	if err := drain(receiver); err != nil {
		return 0, err
	}
	began := time.Now()
	counted := make(chan int, 1)
	go func() { counted <- countDatagrams(receiver, began.Add(udpTrial+udpGrace)) }()
	err = pace(sender, to, rate, began)
	return <-counted, err
}

// pace sends what is due at each tick until udpTrial is over; what a late tick
// missed comes with the next.
func pace(sender *net.UDPConn, to netip.AddrPort, rate float64, began time.Time) error {
	buf := make([]byte, datagram)
	ticker := time.NewTicker(udpTick)
	defer ticker.Stop()
	sent := 0
	for now := range ticker.C {
		passed := min(now.Sub(began), udpTrial)
		for due := int(passed.Seconds() * rate); sent < due; sent++ {
			if _, err := sender.WriteToUDPAddrPort(buf, to); err != nil {
				return err
			}
		}
		if passed == udpTrial {
			break
		}
	}
	return nil
}

// countDatagrams counts until a moment.
func countDatagrams(receiver *net.UDPConn, end time.Time) (count int) {
	buf := make([]byte, datagram)
	if receiver.SetReadDeadline(end) != nil {
		return 0
	}
	for {
		if _, _, err := receiver.ReadFromUDPAddrPort(buf); err != nil {
			return count
		}
		count++
	}
}

// drain waits until nothing has arrived for a while.
func drain(receiver *net.UDPConn) error {
	for end := time.Now().Add(udpDrained); time.Now().Before(end); {
		if countDatagrams(receiver, time.Now().Add(udpGrace)) == 0 {
			return nil
		}
	}
	return errors.New("datagrams arrive that nobody sends")
}

// enlarge gives the socket room for what arrives while its reader waits for a
// CPU.
func enlarge(receiver *net.UDPConn) error {
	raw, err := receiver.SyscallConn()
	if err != nil {
		return err
	}
	var setErr error
	err = raw.Control(func(fd uintptr) {
		setErr = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, udpBuffer)
	})
	return errors.Join(err, setErr)
}
