package harness

import (
	"errors"
	"fmt"
	"net"
	"time"

	"golang.org/x/sys/unix"
)

// Tap is a packet socket on one device. What it sends bypasses the device's
// egress hook, as whoever has taken over the node could.
type Tap struct {
	fd, index int
}

// Frames opens a Tap that sees and sends Ethernet frames.
func (n *Namespace) Frames(device string) *Tap {
	n.t.Helper()
	return n.tap(device, unix.SOCK_RAW)
}

// Packets opens a Tap that sees and sends packets from their IP header on.
func (n *Namespace) Packets(device string) *Tap {
	n.t.Helper()
	return n.tap(device, unix.SOCK_DGRAM)
}

func (n *Namespace) tap(device string, kind int) *Tap {
	n.t.Helper()
	var t *Tap
	n.Do(func() (err error) {
		t, err = openTap(device, kind)
		return err
	})
	n.t.Cleanup(func() { _ = unix.Close(t.fd) })
	return t
}

func openTap(device string, kind int) (*Tap, error) {
	ifi, err := net.InterfaceByName(device)
	if err != nil {
		return nil, fmt.Errorf("tap %s: %w", device, err)
	}
	fd, err := unix.Socket(unix.AF_PACKET, kind|unix.SOCK_CLOEXEC, int(bigEndian(unix.ETH_P_ALL)))
	if err != nil {
		return nil, fmt.Errorf("tap %s: %w", device, err)
	}
	wait := unix.Timeval{Usec: 10_000}
	err = errors.Join(
		unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_QDISC_BYPASS, 1),
		unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &wait),
		unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: bigEndian(unix.ETH_P_ALL), Ifindex: ifi.Index}))
	return &Tap{fd: fd, index: ifi.Index}, err
}

// Send puts a frame or, if protocol (unix.ETH_P_*) is not 0, a packet on the
// device.
func (t *Tap) Send(data []byte, protocol uint16) error {
	to := &unix.SockaddrLinklayer{Protocol: bigEndian(protocol), Ifindex: t.index}
	return unix.Sendto(t.fd, data, 0, to)
}

// Await gives the first frame or packet that arrives and matches.
func (t *Tap) Await(match func([]byte) bool, limit time.Duration) ([]byte, bool) {
	buf := make([]byte, 1<<16)
	for deadline := time.Now().Add(limit); time.Now().Before(deadline); {
		n, from, err := unix.Recvfrom(t.fd, buf, 0)
		if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return nil, false
		}
		l, ok := from.(*unix.SockaddrLinklayer)
		if ok && l.Pkttype != unix.PACKET_OUTGOING && match(buf[:n]) {
			return buf[:n], true
		}
	}
	return nil, false
}

// UnderlayTap is on the router's side of a node's link.
func (c *Cluster) UnderlayTap(n *Node) *Tap {
	c.t.Helper()
	t, err := openTap(n.Uplink, unix.SOCK_RAW)
	c.must(err)
	c.t.Cleanup(func() { _ = unix.Close(t.fd) })
	return t
}

// UnderlayFrame is a packet as the router would hand it to the node.
func (n *Node) UnderlayFrame(packet Packet) []byte {
	n.t.Helper()
	return n.UnderlayFrameOf(unix.ETH_P_IP, packet.Bytes())
}

// UnderlayFrameOf is UnderlayFrame for what is not IPv4.
func (n *Node) UnderlayFrameOf(protocol uint16, packet []byte) []byte {
	n.t.Helper()
	outer, err := net.InterfaceByName(n.Uplink)
	n.cluster.must(err)
	var inner *net.Interface
	n.Do(func() error {
		inner, err = net.InterfaceByName("eth0")
		return err
	})
	return Frame(inner.HardwareAddr, outer.HardwareAddr, protocol, packet)
}
