package datapath

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/gopacket/gopacket/layers"
)

// headers are packets of A to the far pod, and how many bytes behind the IP
// header a program must see.
var headers = []struct {
	name string
	p    ipv4
	need int
}{
	{"TCP", opensFar, 14},
	{"UDP", udp(addrA+":4000", addrFar+":80"), 8},
	{"SCTP", sctp(addrA+":4000", addrFar+":80"), 8},
	{"ICMP echo", echo(addrA+":7", addrFar+":0"), 8},
	{"ICMP error", icmpError(addrA+":0", addrFar+":0", layers.ICMPv4TypeTimeExceeded, farOpens), 36},
}

// arrivals puts a packet of A, or for from_overlay of the far pod, to each hook
// that can meet it.
func arrivals(n *node, packet []byte) map[string]result {
	swapped := bytes.Clone(packet)
	if len(packet) >= 20 {
		copy(swapped[12:16], packet[16:20])
		copy(swapped[16:20], packet[12:16])
	}
	return map[string]result{
		"from_pod":   n.fromPod(podA(), packet),
		"to_pod":     n.toPod(podA(), swapped, "overlay"),
		"to_overlay": n.toOverlay(packet, "podA"),
	}
}

// A packet cut off anywhere is refused. Program.Run takes none with less than
// an IP header.
func TestTruncated(t *testing.T) {
	n := newNode(t)
	for _, h := range headers {
		whole := h.p.with(func(ip *layers.IPv4) {
			ip.Options = []layers.IPv4Option{{OptionType: 148, OptionLength: 4, OptionData: []byte{1, 2}}}
		}).bytes()
		for size := 20; size < len(whole); size++ {
			for hook, r := range arrivals(n, whole[:size]) {
				if r.String() != "malformed" {
					t.Errorf("%s cut off after %d bytes of %d: %s says %s", h.name, size, len(whole), hook, r)
				}
			}
		}
	}
}

// Headers that the IP header's length cuts off do not continue in what follows
// the packet in its frame.
func TestHeadersBehindTheEnd(t *testing.T) {
	n := newNode(t)
	for _, h := range headers {
		for size := range h.need {
			whole := h.p.bytes()
			binary.BigEndian.PutUint16(whole[2:], uint16(20+size))
			for hook, r := range arrivals(n, whole) {
				if r.String() != "malformed" {
					t.Errorf("%s of %d bytes: %s says %s", h.name, size, hook, r)
				}
			}
		}
	}
}

// The same in the tunnel: cut off anywhere, and with a length that is short.
func TestTruncatedInTunnel(t *testing.T) {
	n := newNode(t)
	for _, p := range []ipv4{farOpens, echo(addrFar+":7", addrA+":0"), farOpens.fragments(9, 24)[0]} {
		whole := tag(t, p.bytes(), farPrefix, idFar, false)
		for size := 40; size < len(whole); size++ {
			if r := n.fromOverlay(whole[:size]); r.String() != "malformed" {
				t.Errorf("cut off after %d bytes of %d: %s", size, len(whole), r)
			}
		}
	}
	whole := tag(t, farOpens.bytes(), farPrefix, idFar, false)
	for size := range 14 {
		binary.BigEndian.PutUint16(whole[4:], uint16(size))
		if r := n.fromOverlay(whole); r.String() != "malformed" {
			t.Errorf("TCP of %d bytes: %s", size, r)
		}
	}
}

// Fields that contradict themselves or have no meaning.
func TestMalformed(t *testing.T) {
	n := newNode(t)
	first := tag(t, farOpens.fragments(9, 24)[0].bytes(), farPrefix, idFar, false)
	plain := tag(t, farOpens.bytes(), farPrefix, idFar, false)
	set := func(p []byte, at int, value ...byte) []byte {
		p = bytes.Clone(p)
		copy(p[at:], value)
		return p
	}
	for i, p := range [][]byte{
		set(opensFar.bytes(), 0, 0x55),       // version
		set(opensFar.bytes(), 0, 0x44),       // header length
		set(opensFar.bytes(), 2, 0, 19),      // total length
		set(opensFar.bytes(), 6, 0x80),       // reserved flag
		set(opensFar.bytes(), 6, 0x20),       // a piece of 40 bytes + 1
		set(opensFar.bytes(), 6, 0x1f, 0xff), // a piece behind the largest packet
		routed(7, 0).bytes(),                 // option lengths
		routed(7, 1).bytes(),
		routed(7, 9).bytes(),
		routed(1, 1, 1, 7).bytes(),
		routed(131, 2, 1, 1).bytes(), // a source route without a pointer
	} {
		if i == 4 {
			binary.BigEndian.PutUint16(p[2:], uint16(len(p)-1))
		}
		for hook, r := range arrivals(n, p) {
			if r.String() != "malformed" {
				t.Errorf("%x: %s says %s", p, hook, r)
			}
		}
	}
	for _, p := range [][]byte{
		set(plain, 0, 0x40),              // version
		set(plain, 3, 1),                 // flow label
		set(plain, 4, 0xff, 0xff),        // payload length
		set(first, 41, 1),                // reserved byte
		set(first, 43, 0x03),             // reserved bits
		set(first, 44, 1),                // identification of more than 16 bits
		set(first, 40, 44),               // a Fragment header in a Fragment header
		set(first, 42, 0, 0),             // a Fragment header on a whole packet
		set(first, 42, 0xff, 0xf9),       // a piece behind the largest packet
		set(first[:len(first)-1], 5, 31), // a piece that fills no whole units
	} {
		if r := n.fromOverlay(p); r.String() != "malformed" {
			t.Errorf("%x: from_overlay says %s", p, r)
		}
	}
}
