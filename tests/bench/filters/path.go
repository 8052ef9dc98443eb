package filters

import (
	"bufio"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/signet-cni/signet/tests/bench/measure"
	"github.com/signet-cni/signet/tests/netns/harness"
)

const (
	newFlows = 10_000 // of one datagram each, every other one denied
	later    = 25_000 // datagrams of one flow
	patience = 5 * time.Second
)

// path is the way from a client to a server.
type path struct {
	client, server *harness.Host
	listener       *net.UDPConn
	forget         func() error // every flow
}

func newPath(t harness.TB, client, server *harness.Host, forget func() error) *path {
	p := &path{client: client, server: server, listener: server.UDP(openPort), forget: forget}
	// What arrives is counted below the socket, which drops nearly all of it.
	if err := p.listener.SetReadBuffer(1); err != nil {
		t.Fatalf("receive buffer: %v", err)
	}
	return p
}

// sample gives the nanoseconds of processor time that a packet takes from the
// client's socket to the server's: first packets of flows, and later ones.
func (p *path) sample() (sample measure.Sample, err error) {
	if err := p.forget(); err != nil {
		return sample, fmt.Errorf("forget flows: %w", err)
	}
	first, err := p.first()
	if err != nil {
		return sample, fmt.Errorf("first packets: %w", err)
	}
	established, err := p.established()
	if err != nil {
		return sample, fmt.Errorf("established flow: %w", err)
	}
	return measure.Sample{Values: []float64{first, established}}, nil
}

// first sends the first packets of flows from as many ports.
func (p *path) first() (float64, error) {
	packets := make([][]byte, newFlows)
	start := uint16(rand.Uint32())
	for i := range packets {
		to := uint16(openPort)
		if i%2 == 1 {
			to = closedPort
		}
		from := netip.AddrPortFrom(p.client.Addr, start+uint16(i))
		packets[i] = harness.UDPPacket(from, netip.AddrPortFrom(p.server.Addr, to), []byte{0}).Bytes()
	}
	at := &unix.SockaddrInet4{Addr: p.server.Addr.As4()}
	return p.counted(newFlows, newFlows/2, func() (time.Duration, error) {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_RAW)
		if err != nil {
			return 0, err
		}
		took, err := timed(func() error {
			for _, packet := range packets {
				if err := unix.Sendto(fd, packet, 0, at); err != nil {
					return err
				}
			}
			return nil
		})
		return took, errors.Join(err, unix.Close(fd))
	})
}

// established sends datagrams of a flow that the server has answered.
func (p *path) established() (float64, error) {
	fd := -1
	err := p.client.Try(func() (err error) {
		if fd, err = unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0); err != nil {
			return err
		}
		return errors.Join(
			unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: int64(patience.Seconds())}),
			unix.Connect(fd, &unix.SockaddrInet4{Addr: p.server.Addr.As4(), Port: openPort}))
	})
	if err != nil {
		return 0, err
	}
	defer unix.Close(fd)
	if err := p.shakeHands(fd); err != nil {
		return 0, err
	}
	return p.counted(later, later, func() (time.Duration, error) {
		buf := []byte{0}
		return timed(func() error {
			for range later {
				if _, err := unix.Write(fd, buf); err != nil {
					return err
				}
			}
			return nil
		})
	})
}

// greeting is told from what the listener still holds.
var greeting = []byte("hello")

func (p *path) shakeHands(fd int) error {
	buf := make([]byte, len(greeting))
	for { // empty the buffer for the greeting
		if err := p.listener.SetReadDeadline(time.Now().Add(time.Millisecond)); err != nil {
			return err
		}
		if _, _, err := p.listener.ReadFromUDPAddrPort(buf); errors.Is(err, os.ErrDeadlineExceeded) {
			break
		} else if err != nil {
			return err
		}
	}
	if err := p.listener.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	if _, err := unix.Write(fd, greeting); err != nil {
		return err
	}
	_, from, err := p.listener.ReadFromUDPAddrPort(buf)
	if err != nil {
		return err
	}
	if _, err := p.listener.WriteToUDPAddrPort(greeting, from); err != nil {
		return err
	}
	_, err = unix.Read(fd, buf)
	return err
}

// counted gives the time for each packet, if as many arrived as should.
func (p *path) counted(sent, admitted int, send func() (time.Duration, error)) (float64, error) {
	before, err := p.received()
	if err != nil {
		return 0, err
	}
	var took time.Duration
	if err := p.client.Try(func() (err error) { took, err = send(); return err }); err != nil {
		return 0, err
	}
	after, err := p.received()
	if err != nil {
		return 0, err
	}
	if got := after - before; got < admitted-admitted/100 || got > admitted {
		return 0, fmt.Errorf("%d of %d packets arrived, want %d", got, sent, admitted)
	}
	return float64(took.Nanoseconds()) / float64(sent), nil
}

// received is how many IPv4 packets the server's namespace has got.
func (p *path) received() (count int, err error) {
	err = p.server.Try(func() error {
		f, err := os.Open("/proc/thread-self/net/snmp")
		if err != nil {
			return err
		}
		defer f.Close()
		lines := bufio.NewScanner(f)
		lines.Scan() // the names
		lines.Scan()
		var forwarding, ttl int
		_, err = fmt.Sscanf(lines.Text(), "Ip: %d %d %d", &forwarding, &ttl, &count)
		return err
	})
	return count, err
}

// timed gives the processor time that the calling thread takes, and the softirqs
// in which the kernel delivers what it sends.
func timed(f func() error) (time.Duration, error) {
	before, err := threadTime()
	if err != nil {
		return 0, err
	}
	if err := f(); err != nil {
		return 0, err
	}
	after, err := threadTime()
	return after - before, err
}

func threadTime() (time.Duration, error) {
	var t unix.Timespec
	err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t)
	return time.Duration(t.Nano()), err
}
