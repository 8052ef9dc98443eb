package device_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

func netParse(s string) (net.IP, *net.IPNet, error) { return net.ParseCIDR(s) }

func up(name string) error {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return err
	}
	return netlink.LinkSetUp(link)
}

func addAddress(name string, p netip.Prefix) error {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return err
	}
	_, ipnet, err := netParse(p.String())
	if err != nil {
		return err
	}
	ipnet.IP = p.Addr().AsSlice()
	return netlink.AddrReplace(link, &netlink.Addr{IPNet: ipnet})
}

// replaceRoute adds a route by device and, if via is valid, gateway.
func replaceRoute(device string, dst netip.Prefix, via netip.Addr) error {
	link, err := netlink.LinkByName(device)
	if err != nil {
		return err
	}
	_, ipnet, err := netParse(dst.String())
	if err != nil {
		return err
	}
	r := &netlink.Route{Dst: ipnet, LinkIndex: link.Attrs().Index, Scope: netlink.SCOPE_LINK}
	if via.IsValid() {
		r.Gw, r.Scope = via.AsSlice(), netlink.SCOPE_UNIVERSE
	}
	return netlink.RouteReplace(r)
}

// tap is a packet socket on one device: it sees what a capture would.
type tap struct {
	fd, index int
}

// openTap sees every protocol (unix.ETH_P_ALL) or one of them.
func openTap(device string, protocol uint16) (*tap, error) {
	link, err := netlink.LinkByName(device)
	if err != nil {
		return nil, err
	}
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, int(bigEndian(protocol)))
	if err != nil {
		return nil, err
	}
	to := &unix.SockaddrLinklayer{Protocol: bigEndian(protocol), Ifindex: link.Attrs().Index}
	wait := unix.Timeval{Usec: 10_000}
	return &tap{fd: fd, index: link.Attrs().Index}, errors.Join(
		unix.Bind(fd, to), unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &wait))
}

func bigEndian(v uint16) uint16 {
	var b [2]byte
	binary.BigEndian.PutUint16(b[:], v)
	return binary.NativeEndian.Uint16(b[:])
}

func (t *tap) close() { _ = unix.Close(t.fd) }

// send puts an IPv6 packet on the device's egress.
func (t *tap) send(packet []byte) error {
	return unix.Sendto(t.fd, packet, 0, &unix.SockaddrLinklayer{Protocol: bigEndian(unix.ETH_P_IPV6), Ifindex: t.index})
}

// frame is one packet that a tap saw.
type frame struct {
	outgoing bool
	packet   []byte
}

// receive gives the next frame, and false if none came before the deadline.
func (t *tap) receive(deadline time.Time) (frame, bool) {
	buf := make([]byte, 65536)
	for time.Now().Before(deadline) {
		n, from, err := unix.Recvfrom(t.fd, buf, 0)
		if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return frame{}, false
		}
		l, ok := from.(*unix.SockaddrLinklayer)
		return frame{outgoing: ok && l.Pkttype == unix.PACKET_OUTGOING, packet: buf[:n]}, true
	}
	return frame{}, false
}

// udp4 builds an IPv4 UDP packet (RFC 768, checksum left out) of port 4000.
func udp4(src, dst netip.Addr, payload []byte) []byte {
	p := make([]byte, 28, 28+len(payload))
	p[0], p[6], p[8], p[9] = 0x45, 0x40, 64, 17
	binary.BigEndian.PutUint16(p[2:], uint16(28+len(payload)))
	copy(p[12:], src.AsSlice())
	copy(p[16:], dst.AsSlice())
	binary.BigEndian.PutUint16(p[20:], 4000)
	binary.BigEndian.PutUint16(p[22:], 4000)
	binary.BigEndian.PutUint16(p[24:], uint16(8+len(payload)))
	return append(p, payload...)
}

// routeTo says where the node sends a packet for dst: "device from source", or
// the error.
func routeTo(dst netip.Addr) string {
	routes, err := netlink.RouteGet(dst.AsSlice())
	if err != nil {
		return err.Error()
	}
	link, err := netlink.LinkByIndex(routes[0].LinkIndex)
	if err != nil {
		return err.Error()
	}
	return fmt.Sprintf("%s from %s", link.Attrs().Name, routes[0].Src)
}
