package probe

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

const (
	// allProtocols is ETH_P_ALL in network byte order.
	allProtocols = unix.ETH_P_ALL<<8&0xff00 | unix.ETH_P_ALL>>8
	// frameSize holds the largest frame that segmentation offload makes.
	frameSize = 1 << 17
	// bufferSize holds what comes while the capture waits for a processor, in
	// bytes.
	bufferSize = 16 << 20
	// settle is for the frames that wait to be looked at when the watch ends.
	settle = 200 * time.Millisecond
	// markLength bounds what follows a marker, in bytes.
	markLength = 32
)

// Seen is what passed a device.
type Seen struct {
	Device string `json:"device"`
	Frames uint64 `json:"frames"`
	// Marks counts the frames that have the marker in clear, by the text that
	// follows it, up to the next space.
	Marks map[string]uint64 `json:"marks,omitempty"`
	// Sealed counts WireGuard's datagrams of packets (type 4, 4 zero bytes of
	// flags after it; WireGuard paper section 5.4.6) to one of the ports.
	Sealed uint64 `json:"sealed"`
	Missed uint32 `json:"missed,omitempty"` // frames that the kernel had to leave out
}

// Sniffer watches devices for a marker.
type Sniffer struct {
	marker  []byte
	ports   []uint16
	taps    []*tap
	running sync.WaitGroup
}

type tap struct {
	file *os.File
	seen Seen
}

// Sniff starts to watch devices for a marker, and for WireGuard on UDP ports.
func Sniff(devices []string, marker string, ports []uint16) (*Sniffer, error) {
	s := &Sniffer{marker: []byte(marker), ports: ports}
	for _, device := range devices {
		file, err := listen(device)
		if err != nil {
			return nil, errors.Join(err, s.close())
		}
		s.taps = append(s.taps, &tap{file: file, seen: Seen{Device: device, Marks: map[string]uint64{}}})
	}
	for _, t := range s.taps {
		s.running.Go(func() { s.watch(t) })
	}
	return s, nil
}

// Stop ends the watch and tells what passed.
func (s *Sniffer) Stop() ([]Seen, error) {
	time.Sleep(settle)
	var errs []error
	for _, t := range s.taps {
		missed, err := missed(t.file)
		t.seen.Missed = missed
		errs = append(errs, err)
	}
	errs = append(errs, s.close())
	s.running.Wait()
	var list []Seen
	for _, t := range s.taps {
		list = append(list, t.seen)
	}
	return list, errors.Join(errs...)
}

func (s *Sniffer) close() error {
	var errs []error
	for _, t := range s.taps {
		errs = append(errs, t.file.Close())
	}
	return errors.Join(errs...)
}

func listen(device string) (*os.File, error) {
	link, err := netlink.LinkByName(device)
	if err != nil {
		return nil, fmt.Errorf("watch %s: %w", device, err)
	}
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("watch %s: %w", device, os.NewSyscallError("socket", err))
	}
	err = errors.Join(
		os.NewSyscallError("SO_RCVBUFFORCE", unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, bufferSize)),
		os.NewSyscallError("bind", unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: allProtocols, Ifindex: link.Attrs().Index})),
	)
	if err != nil {
		return nil, fmt.Errorf("watch %s: %w", device, errors.Join(err, unix.Close(fd)))
	}
	return os.NewFile(uintptr(fd), device), nil
}

func (s *Sniffer) watch(t *tap) {
	frame := make([]byte, frameSize)
	for {
		n, err := t.file.Read(frame)
		if errors.Is(err, os.ErrClosed) {
			return
		}
		if err != nil { // such as a device that is down: it may come up
			time.Sleep(settle / 10)
			continue
		}
		t.seen.take(frame[:n], s.marker, s.ports)
	}
}

func (s *Seen) take(frame, marker []byte, ports []uint16) {
	s.Frames++
	if _, rest, found := bytes.Cut(frame, marker); found {
		text, _, _ := bytes.Cut(rest[:min(len(rest), markLength)], []byte{' '})
		text, _, _ = bytes.Cut(text, []byte{'\n'})
		s.Marks[string(text)]++
	}
	if sealed(frame, ports) {
		s.Sealed++
	}
}

// sealed reports whether an Ethernet frame holds a datagram of WireGuard's that
// carries a packet.
func sealed(frame []byte, ports []uint16) bool {
	const header, udp = 14, 8
	if len(frame) < header+20+udp+4 {
		return false
	}
	ip := frame[header:]
	var at int
	switch binary.BigEndian.Uint16(frame[12:]) {
	case unix.ETH_P_IP:
		if at = int(ip[0]&0xf) * 4; ip[9] != unix.IPPROTO_UDP {
			return false
		}
	case unix.ETH_P_IPV6:
		if at = 40; ip[6] != unix.IPPROTO_UDP {
			return false
		}
	default:
		return false
	}
	if len(ip) < at+udp+4 {
		return false
	}
	to := binary.BigEndian.Uint16(ip[at+2:])
	return slices.Contains(ports, to) && bytes.Equal(ip[at+udp:at+udp+4], []byte{4, 0, 0, 0})
}

func missed(file *os.File) (uint32, error) {
	raw, err := file.SyscallConn()
	if err != nil {
		return 0, err
	}
	var stats *unix.TpacketStats
	var failure error
	err = raw.Control(func(fd uintptr) {
		stats, failure = unix.GetsockoptTpacketStats(int(fd), unix.SOL_PACKET, unix.PACKET_STATISTICS)
	})
	if err = errors.Join(err, failure); err != nil {
		return 0, os.NewSyscallError("PACKET_STATISTICS", err)
	}
	return stats.Drops, nil
}

// Towards gives the devices over which addresses are reached, each once.
func Towards(addrs []netip.Addr) ([]string, error) {
	var devices []string
	for _, addr := range addrs {
		routes, err := netlink.RouteGet(addr.AsSlice())
		if err != nil || len(routes) == 0 {
			return nil, fmt.Errorf("find the route to %s: %w", addr, err)
		}
		link, err := netlink.LinkByIndex(routes[0].LinkIndex)
		if err != nil {
			return nil, fmt.Errorf("find the route to %s: %w", addr, err)
		}
		if name := link.Attrs().Name; !slices.Contains(devices, name) {
			devices = append(devices, name)
		}
	}
	return devices, nil
}

// Until waits for the end of ctx or of what is read from r.
func Until(ctx context.Context, r interface{ Read([]byte) (int, error) }) {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		buf := make([]byte, 64)
		for {
			if _, err := r.Read(buf); err != nil {
				return
			}
		}
	}()
	select {
	case <-ctx.Done():
	case <-ended:
	}
}
