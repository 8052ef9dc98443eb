package harness

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync/atomic"
	"time"
)

// lateness is how long the last datagrams of a stream have to arrive, in ticks.
const lateness = 1000

// Stream is datagrams that carry a number each.
type Stream struct {
	in, out *net.UDPConn
	to      netip.AddrPort
}

// NewStream readies one to a port.
func NewStream(from, to *Host, port uint16) Stream {
	return Stream{in: to.UDP(port), out: from.UDP(0), to: netip.AddrPortFrom(to.Addr, port)}
}

// Run sends until stop is closed, a datagram each tick, and gives how many were
// sent and the numbers of those that did not arrive.
func (s Stream) Run(stop <-chan struct{}, tick time.Duration) (sent int, lost []int) {
	var arrived atomic.Int64
	var seen map[int]bool
	done := make(chan struct{})
	go func() {
		defer close(done)
		seen = s.count(&arrived)
	}()
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	for running := true; running; {
		select {
		case <-stop:
			running = false
		case <-ticker.C:
			if _, err := s.out.WriteToUDPAddrPort(binary.BigEndian.AppendUint64(nil, uint64(sent)), s.to); err == nil {
				sent++
			}
		}
	}
	for deadline := time.Now().Add(lateness * tick); arrived.Load() < int64(sent) && time.Now().Before(deadline); {
		time.Sleep(10 * time.Millisecond)
	}
	_ = s.in.SetReadDeadline(time.Now())
	<-done
	for number := range sent {
		if !seen[number] {
			lost = append(lost, number)
		}
	}
	return sent, lost
}

// count collects different numbers until reading fails.
func (s Stream) count(arrived *atomic.Int64) (seen map[int]bool) {
	buf, seen := make([]byte, 8), map[int]bool{}
	for {
		if n, err := s.in.Read(buf); err != nil || n != 8 {
			return seen
		}
		if number := int(binary.BigEndian.Uint64(buf)); !seen[number] {
			seen[number] = true
			arrived.Add(1)
		}
	}
}

// Load is a Crowd and a Stream from one host to another.
type Load struct {
	crowd    *Crowd
	stop     chan struct{}
	streamed chan struct{}
	sent     int
	lost     []int
}

const (
	crowdPort  = 8080
	streamPort = 9
	crowdSize  = 100
	crowdPause = 20 // ticks
)

// StartLoad begins with 100 connections, on each of which a question is asked
// every 20 ticks, and a datagram each tick. The server answers at port 8080.
func StartLoad(t TB, from, to *Host, tick time.Duration) *Load {
	t.Helper()
	l := &Load{stop: make(chan struct{}), streamed: make(chan struct{})}
	l.crowd = Gather(t, from, netip.AddrPortFrom(to.Addr, crowdPort), crowdSize, crowdPause*tick)
	stream := NewStream(from, to, streamPort)
	go func() {
		defer close(l.streamed)
		l.sent, l.lost = stream.Run(l.stop, tick)
		_ = stream.in.Close()
		_ = stream.out.Close()
	}()
	return l
}

// Toll is what a load has cost.
type Toll struct {
	Sent, Lost     int   // datagrams
	Answers, Again int   // of the connections, and segments that were sent again
	Broken         error // of connections
}

// End stops the load.
func (l *Load) End() (toll Toll) {
	close(l.stop)
	<-l.streamed
	toll.Sent, toll.Lost = l.sent, len(l.lost)
	toll.Answers, toll.Again, toll.Broken = l.crowd.Disperse()
	return toll
}

// String says it in a line.
func (t Toll) String() string {
	return fmt.Sprintf("%d of %d datagrams lost; %d connections, %d answers, %d segments sent again",
		t.Lost, t.Sent, crowdSize, t.Answers, t.Again)
}

// Problem is nil if no datagram was lost and every connection lives.
func (t Toll) Problem() error {
	if t.Sent == 0 || t.Lost > 0 || t.Broken != nil || t.Answers < crowdSize {
		return errors.Join(errors.New(t.String()), t.Broken)
	}
	return nil
}
