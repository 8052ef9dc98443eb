package harness

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/signet-cni/signet/internal/guard"
	"github.com/signet-cni/signet/overlay"
)

// captureBuffer holds what arrives while the reader sleeps, in bytes.
const captureBuffer = 64 << 20

// Capture reads every packet that a node or the world gives to the underlay,
// where it enters the router: what a node receives shares its memory with the
// copy of a capture, and the kernel writes new headers into fragments.
type Capture struct {
	t       TB
	fds     []int
	readers sync.WaitGroup

	mu       sync.Mutex
	sealed   int      // packets of WireGuard between nodes
	plain    int      // other IP packets
	between  []string // those from node to node
	leaks    []string // those with an address of a pod or a service
	controls [2]int   // leaks that were made on purpose, and those that were seen
}

// Capture watches until Stop, or the end of the test.
func (c *Cluster) Capture() *Capture {
	c.t.Helper()
	p := &Capture{t: c.t}
	names := []string{"world"}
	for _, n := range c.machines {
		names = append(names, n.Uplink)
	}
	for _, name := range names {
		fd, err := openCapture(name)
		c.must(err)
		p.fds = append(p.fds, fd)
		p.readers.Go(func() { p.read(fd, name) })
	}
	c.t.Cleanup(func() { p.stop() })
	return p
}

func openCapture(name string) (int, error) {
	ifi, err := net.InterfaceByName(name)
	if err != nil {
		return 0, fmt.Errorf("capture on %s: %w", name, err)
	}
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, int(bigEndian(unix.ETH_P_ALL)))
	if err != nil {
		return 0, fmt.Errorf("capture on %s: %w", name, err)
	}
	wait := unix.Timeval{Usec: 50_000}
	return fd, errors.Join(
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, captureBuffer),
		unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &wait),
		unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: bigEndian(unix.ETH_P_ALL), Ifindex: ifi.Index}))
}

func bigEndian(v uint16) uint16 {
	return binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, v))
}

// read ends when the socket is shut down and empty.
func (p *Capture) read(fd int, name string) {
	buf := make([]byte, 1<<16)
	for {
		n, from, err := unix.Recvfrom(fd, buf, 0)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if errors.Is(err, unix.EAGAIN) && p.running() {
			continue
		}
		if err != nil {
			return
		}
		l, ok := from.(*unix.SockaddrLinklayer)
		if ok && l.Pkttype != unix.PACKET_OUTGOING && l.Protocol != bigEndian(unix.ETH_P_ARP) {
			p.sort(name, buf[:n])
		}
	}
}

func (p *Capture) running() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.fds != nil
}

// sort counts a packet. Anything that is not IP counts as a leak, too.
func (p *Capture) sort(name string, packet []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	o, ok := readOuter(packet)
	if !ok {
		p.leaks = append(p.leaks, fmt.Sprintf("%s: not IP: %x", name, packet[:min(len(packet), 40)]))
		return
	}
	switch {
	case o.isWireGuard() && ofNodes(o.src) && ofNodes(o.dst):
		p.sealed++
	case bytes.Contains(packet, control):
		p.controls[1]++
	case ofPods(o.src) || ofPods(o.dst):
		p.leaks = append(p.leaks, fmt.Sprintf("%s: %s to %s, protocol %d", name, o.src, o.dst, o.protocol))
	default:
		p.plain++
		if ofNodes(o.src) && ofNodes(o.dst) && !o.aboutWireGuard() {
			p.between = append(p.between, fmt.Sprintf("%s: %s to %s, protocol %d", name, o.src, o.dst, o.protocol))
		}
	}
}

// aboutWireGuard: an ICMP error quotes a packet of WireGuard, whose port may be
// closed.
func (o outer) aboutWireGuard() bool {
	if o.protocol != unix.IPPROTO_ICMP && o.protocol != unix.IPPROTO_ICMPV6 || len(o.payload) < 8 {
		return false
	}
	quoted, ok := readOuter(o.payload[8:])
	return ok && quoted.isWireGuard()
}

func ofNodes(a netip.Addr) bool { return NodeRange.Contains(a) || NodeRange6.Contains(a) }

// ofPods is true of tunnel addresses, too.
func ofPods(a netip.Addr) bool {
	return clusterRanges.Contains(a) || ServiceRange.Contains(a) || ServiceRange6.Contains(a) ||
		clusterID.Range().Contains(a)
}

// outer is what a packet on the underlay says of itself.
type outer struct {
	src, dst netip.Addr
	protocol byte
	payload  []byte
}

func readOuter(p []byte) (outer, bool) {
	switch {
	case len(p) >= 20 && p[0]>>4 == 4 && len(p) >= int(p[0]&0xf)*4:
		return outer{
			netip.AddrFrom4([4]byte(p[12:16])), netip.AddrFrom4([4]byte(p[16:20])), p[9], p[int(p[0]&0xf)*4:],
		}, true
	case len(p) >= 40 && p[0]>>4 == 6:
		return outer{netip.AddrFrom16([16]byte(p[8:24])), netip.AddrFrom16([16]byte(p[24:40])), p[6], p[40:]}, true
	}
	return outer{}, false
}

func (o outer) isWireGuard() bool {
	return o.protocol == unix.IPPROTO_UDP && len(o.payload) > 4 &&
		slices.Contains(guard.Ports(overlay.DefaultPort), binary.BigEndian.Uint16(o.payload[2:]))
}

func (p *Capture) stop() {
	p.mu.Lock()
	fds := p.fds
	p.fds = nil
	p.mu.Unlock()
	p.readers.Wait()
	for _, fd := range fds {
		stats, err := unix.GetsockoptTpacketStats(fd, unix.SOL_PACKET, unix.PACKET_STATISTICS)
		if err != nil {
			p.t.Errorf("capture: %v", err)
		} else if stats.Drops > 0 {
			p.t.Errorf("capture: %d packets were missed", stats.Drops)
		}
		_ = unix.Close(fd)
	}
}

// control is in leaks that are made on purpose.
var control = []byte("this is a control")

// Control lets a node put a packet on its underlay link past every hook and
// table. The test fails unless the capture sees it, which would take it for a
// leak.
func (p *Capture) Control(n *Node, src, dst netip.Addr) {
	p.t.Helper()
	broadcast := net.HardwareAddr{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
	packet := UDPPacket(netip.AddrPortFrom(src, 1), netip.AddrPortFrom(dst, 2), control)
	frame := Frame(broadcast, net.HardwareAddr{2, 6, 6, 6, 6, 6}, unix.ETH_P_IP, packet.Bytes())
	p.mu.Lock()
	p.controls[0]++
	p.mu.Unlock()
	if err := n.Frames("eth0").Send(frame, 0); err != nil {
		p.t.Errorf("control: %v", err)
	}
}

// Between lists the plaintext packets from node to node, once the capture has
// ended: no test sends any but through a port of the other node.
func (p *Capture) Between() []string { return slices.Compact(slices.Sorted(slices.Values(p.between))) }

// Stop ends the capture. It fails the test if a packet with an address of a
// pod or a service was on the underlay, or if fewer than sealed packets of
// WireGuard were.
func (p *Capture) Stop(sealed int) {
	p.t.Helper()
	p.stop()
	p.t.Logf("capture: %d packets of WireGuard, %d others, %d of %d controls, %d leaks",
		p.sealed, p.plain, p.controls[1], p.controls[0], len(p.leaks))
	if p.controls[0] != p.controls[1] {
		p.t.Errorf("%d of %d leaks that were made on purpose were seen", p.controls[1], p.controls[0])
	}
	slices.Sort(p.leaks)
	for i, leak := range slices.Compact(p.leaks) {
		if i == 10 {
			p.t.Errorf("and more")
			break
		}
		p.t.Errorf("plaintext on the underlay: %s", leak)
	}
	if p.sealed < sealed {
		p.t.Errorf("%d packets of WireGuard, want %d at least: was it used?", p.sealed, sealed)
	}
}
