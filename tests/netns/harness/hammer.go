package harness

import (
	"net"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Hammer sends a datagram that names its sender to each of the addresses in
// turn, a round each pause, whether there is a way or not, until stop is
// called.
func (h *Host) Hammer(name string, to []netip.AddrPort, pause time.Duration) (stop func()) {
	h.t.Helper()
	var conn *net.UDPConn
	h.Do(func() (err error) {
		conn, err = net.ListenUDP("udp4", nil)
		return err
	})
	done := make(chan struct{})
	var running sync.WaitGroup
	running.Go(func() {
		tick := time.NewTicker(pause)
		defer tick.Stop()
		for {
			for _, addr := range to {
				_, _ = conn.WriteToUDPAddrPort([]byte(name), addr) // there may be no way yet
			}
			select {
			case <-done:
				return
			case <-tick.C:
			}
		}
	})
	return func() {
		close(done)
		running.Wait()
		_ = conn.Close()
	}
}

// Witness counts the datagrams that arrive in a namespace, on whatever device
// and from that device's first moment on, by what they say.
type Witness struct {
	fd      int
	port    uint16
	running sync.WaitGroup

	mu      sync.Mutex
	stopped bool
	heard   map[string]int
}

// Witness watches the datagrams to a port until Stop, or the end of the test.
func (n *Namespace) Witness(port uint16) *Witness {
	n.t.Helper()
	w := &Witness{port: port, heard: map[string]int{}}
	n.Do(func() (err error) {
		w.fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, int(bigEndian(unix.ETH_P_IP)))
		if err != nil {
			return err
		}
		wait := unix.Timeval{Usec: 20_000}
		return unix.SetsockoptTimeval(w.fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &wait)
	})
	w.running.Go(w.read)
	n.t.Cleanup(w.Stop)
	return w
}

func (w *Witness) read() {
	buf := make([]byte, 2048)
	for !w.ended() {
		n, from, err := unix.Recvfrom(w.fd, buf, 0)
		if l, ok := from.(*unix.SockaddrLinklayer); err != nil || !ok || l.Pkttype == unix.PACKET_OUTGOING {
			continue
		}
		if said, ok := datagramTo(buf[:n], w.port); ok {
			w.mu.Lock()
			w.heard[said]++
			w.mu.Unlock()
		}
	}
}

// datagramTo gives what an IPv4 UDP packet without options carries to a port.
func datagramTo(p []byte, port uint16) (said string, ok bool) {
	if len(p) < 28 || p[0] != 0x45 || p[9] != unix.IPPROTO_UDP || uint16(p[22])<<8|uint16(p[23]) != port {
		return "", false
	}
	return string(p[28:]), true
}

func (w *Witness) ended() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.stopped
}

// Stop ends it. It may be called again.
func (w *Witness) Stop() {
	w.mu.Lock()
	first := !w.stopped
	w.stopped = true
	w.mu.Unlock()
	w.running.Wait()
	if first {
		_ = unix.Close(w.fd)
	}
}

// Heard gives how often each datagram has come so far.
func (w *Witness) Heard() map[string]int {
	w.mu.Lock()
	defer w.mu.Unlock()
	heard := make(map[string]int, len(w.heard))
	for said, count := range w.heard {
		heard[said] = count
	}
	return heard
}

// Await waits until something was heard.
func (w *Witness) Await(said string, limit time.Duration) bool {
	for deadline := time.Now().Add(limit); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		if w.Heard()[said] > 0 {
			return true
		}
	}
	return false
}
