package wire

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"
)

// Class says whose traffic a frame is.
type Class string

// The classes of frames.
const (
	WireGuard  Class = "WireGuard"                  // its UDP port
	PodsClear  Class = "pod addresses in the clear" // in an unencrypted header
	Kubernetes Class = "Kubernetes' own, TLS"       // API server, kubelet, etcd
	Neighbours Class = "neighbour discovery"
	Rest       Class = "anything else"
)

// Rules tell the classes apart.
type Rules struct {
	Port   uint16         // of WireGuard
	Inside []netip.Prefix // addresses that belong into the tunnel
	Marker []byte         // what pods tell each other
}

// Count sums up the frames of a class.
type Count struct {
	Frames, Bytes int
	Marked        int // frames in which the marker can be read
}

// Counts sums up by class.
type Counts map[Class]Count

func (c Counts) add(class Class, frame, marker []byte) {
	count := c[class]
	count.Frames++
	count.Bytes += len(frame)
	if len(marker) > 0 && bytes.Contains(frame, marker) {
		count.Marked++
	}
	c[class] = count
}

// Marked is how many frames of any class show the marker.
func (c Counts) Marked() int {
	sum := 0
	for _, count := range c {
		sum += count.Marked
	}
	return sum
}

// header is what tells frames apart.
type header struct {
	src, dst         netip.Addr
	protocol         uint8
	srcPort, dstPort uint16
}

// kubernetesPorts are those of etcd, the API server and the kubelet.
var kubernetesPorts = []uint16{2379, 2380, 6443, 10250}

// classify names the class of an Ethernet frame.
func (r Rules) classify(frame []byte) Class {
	h, ok := parse(frame)
	switch {
	case !ok:
		return Rest
	case h.protocol == arp || h.protocol == unix.IPPROTO_ICMPV6 && h.dst.IsLinkLocalMulticast():
		return Neighbours
	case r.inside(h.src) || r.inside(h.dst):
		return PodsClear
	case h.protocol == unix.IPPROTO_UDP && h.srcPort == r.Port && h.dstPort == r.Port:
		return WireGuard
	case h.protocol == unix.IPPROTO_TCP &&
		(slices.Contains(kubernetesPorts, h.srcPort) || slices.Contains(kubernetesPorts, h.dstPort)):
		return Kubernetes
	}
	return Rest
}

func (r Rules) inside(a netip.Addr) bool {
	return slices.ContainsFunc(r.Inside, func(p netip.Prefix) bool { return p.Contains(a) })
}

const (
	arp            = 255 // stands for ARP in header.protocol, which IP reserves
	ethernetLength = 14
)

// parse reads the headers of an Ethernet frame up to the ports.
func parse(frame []byte) (header, bool) {
	if len(frame) < ethernetLength {
		return header{}, false
	}
	packet := frame[ethernetLength:]
	switch binary.BigEndian.Uint16(frame[12:]) {
	case unix.ETH_P_ARP:
		return header{protocol: arp}, true
	case unix.ETH_P_IP:
		return parseIPv4(packet)
	case unix.ETH_P_IPV6:
		return parseIPv6(packet)
	}
	return header{}, false
}

func parseIPv4(packet []byte) (header, bool) {
	if len(packet) < 20 {
		return header{}, false
	}
	h := header{
		src: netip.AddrFrom4([4]byte(packet[12:16])), dst: netip.AddrFrom4([4]byte(packet[16:20])),
		protocol: packet[9],
	}
	length := int(packet[0]&15) * 4
	if fragment := binary.BigEndian.Uint16(packet[6:]) & 0x1fff; fragment == 0 && length <= len(packet) {
		h.ports(packet[length:])
	}
	return h, true
}

func parseIPv6(packet []byte) (header, bool) {
	if len(packet) < 40 {
		return header{}, false
	}
	h := header{
		src: netip.AddrFrom16([16]byte(packet[8:24])), dst: netip.AddrFrom16([16]byte(packet[24:40])),
		protocol: packet[6],
	}
	h.ports(packet[40:])
	return h, true
}

func (h *header) ports(transport []byte) {
	if len(transport) >= 4 && (h.protocol == unix.IPPROTO_TCP || h.protocol == unix.IPPROTO_UDP) {
		h.srcPort, h.dstPort = binary.BigEndian.Uint16(transport), binary.BigEndian.Uint16(transport[2:])
	}
}
