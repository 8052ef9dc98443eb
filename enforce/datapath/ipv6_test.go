package datapath

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"testing"

	"github.com/gopacket/gopacket/layers"

	"github.com/signet-cni/signet/enforce/policy"
	"github.com/signet-cni/signet/overlay/wire"
)

// What is IPv6's own; the rest of it is in the stories that tell plays in both
// families.

// edit gives a copy with bytes replaced from an offset on.
func edit(p []byte, at int, value ...byte) []byte {
	p = bytes.Clone(p)
	copy(p[at:], value)
	return p
}

// What a pod may not send: the link's own traffic, extension headers, IPv4 in
// IPv6's addresses, another's address.
func TestPodSendsIPv6(t *testing.T) {
	n := newNode(t)
	syn6, datagram := ipv6(opensFar.bytes()), ipv6(udp(addrA+":4000", addrFar+":53").bytes())
	first := ipv6(opensFar.fragments(9, 24)[0].bytes())
	nested := extended(first, 44, []byte{0, 0, 0, 1, 0, 0, 0, 1})
	local, a, all := "fe80::2", six(netip.MustParseAddr(addrA)).String(), "ff02::16"
	b := six(netip.MustParseAddr(addrB)).String()
	mapped := netip.MustParseAddr("::ffff:" + addrB).AsSlice()
	cases := []struct {
		name   string
		packet []byte
		want   string
	}{
		{"whole", syn6, "tunnel"},
		{"an atomic fragment", extended(datagram, 44, make([]byte, 8)), "tunnel"},
		{"multicast listener report", extended(message6("::", all, 143), 0, []byte{0, 0, 5, 2, 0, 0, 1, 0}), "link-local"},
		{"router solicitation", message6(local, "ff02::2", layers.ICMPv6TypeRouterSolicitation), "link-local"},
		{"router advertisement", message6(local, "ff02::1", layers.ICMPv6TypeRouterAdvertisement), "link-local"},
		{"duplicate address detection", message6("::", "ff02::1:ff00:107", layers.ICMPv6TypeNeighborSolicitation), "link-local"},
		{"neighbour solicitation to a pod", message6(a, b, layers.ICMPv6TypeNeighborSolicitation), "link-local"},
		{"neighbour advertisement to a pod", message6(a, b, layers.ICMPv6TypeNeighborAdvertisement), "link-local"},
		{"neighbour advertisement to the gateway", message6(a, "fe80::1", layers.ICMPv6TypeNeighborAdvertisement), "link-local"},
		{"redirect", message6(a, b, layers.ICMPv6TypeRedirect), "link-local"},
		{"from a link-local address", edit(syn6, 8, 0xfe, 0x80), "link-local"},
		{"from the end of link-local", edit(syn6, 8, 0xfe, 0xbf), "link-local"},
		{"to a link-local address", edit(syn6, 24, 0xfe, 0x80), "link-local"},
		{"to a multicast group", edit(syn6, 24, 0xff, 0x0e), "link-local"},
		{"hop-by-hop options", extended(syn6, 0, make([]byte, 8)), "extension-header"},
		{"routing header type 0", extended(syn6, 43, []byte{0, 0, 0, 0, 0, 0, 0, 0}), "extension-header"},
		{"authentication header", extended(syn6, 51, make([]byte, 12)), "extension-header"},
		{"destination options", extended(syn6, 60, make([]byte, 8)), "extension-header"},
		{"mobility header", extended(syn6, 135, make([]byte, 8)), "extension-header"},
		{"options in a fragment", edit(first, 40, 60), "extension-header"},
		{"fragment of a fragment", nested, "malformed"},
		{"reserved bits of a Fragment header", edit(first, 43, 3), "malformed"},
		{"a piece behind the largest packet", edit(first, 42, 0xff, 0xf9), "malformed"},
		{"no version", edit(syn6, 0, 0x70), "malformed"},
		{"payload behind the end", edit(syn6, 4, 0xff, 0xff), "malformed"},
		{"IPv4-mapped source", edit(syn6, 8, netip.MustParseAddr("::ffff:"+addrA).AsSlice()...), "malformed"},
		{"IPv4-mapped destination", edit(syn6, 24, mapped...), "malformed"},
		{"another pod's address", edit(syn6, 8, netip.MustParseAddr(b).AsSlice()...), "spoofed-address"},
		{"bits above its number", edit(syn6, 19, 1), "spoofed-address"},
		{"a node's number as source", edit(syn6, 20, 0, 0, 0, 1), "spoofed-address"},
		{"bits above a far pod's number", edit(syn6, 35, 1), "no-peer"},
		{"number 0 of a far node", edit(syn6, 36, 0, 0, 0, 0), "no-peer"},
		{"a far node's number as an address", edit(syn6, 36, 0, 0, 0, 1), "no-peer"},
		{"no such pod here", ipv6(tcp(addrA+":4000", "10.244.1.99:80", "S").bytes()), "no-endpoint"},
	}
	for _, c := range cases {
		n.forgetFlows()
		if r := n.fromPod(podA(), c.packet); r.String() != c.want {
			t.Errorf("%s: %s, want %s", c.name, r, c.want)
		}
	}
	if r := n.fromPod(podB(), syn6); r.String() != "spoofed-address" {
		t.Errorf("by another interface: %s", r)
	}
	if r := n.fromPod(endpoint(addrA, "podA", idA, 9), syn6); r.String() != "spoofed-mac" {
		t.Errorf("with another MAC: %s", r)
	}
}

// ICMPv6 types that are about the link are dropped, and no others.
func TestICMPv6Types(t *testing.T) {
	n := newNode(t)
	a, f := six(netip.MustParseAddr(addrA)).String(), six(netip.MustParseAddr(addrFar)).String()
	link := map[int]bool{130: true, 131: true, 132: true, 133: true, 134: true, 135: true, 136: true, 137: true, 141: true, 142: true, 143: true, 148: true, 149: true, 151: true, 152: true, 153: true}
	for kind := range 256 {
		want := "tunnel"
		switch {
		case link[kind]:
			want = "link-local"
		case kind >= 1 && kind <= 4: // an error that quotes nothing
			want = "malformed"
		}
		n.forgetFlows()
		if r := n.fromPod(podA(), message6(a, f, byte(kind))); r.String() != want {
			t.Errorf("type %d: %s, want %s", kind, r, want)
		}
	}
}

// The host may speak to its pods from a link-local address; no one else may.
func TestLinkLocalHost(t *testing.T) {
	n := newNode(t)
	p := setSum(edit(ipv6(tcp(ownHost+":4000", addrA+":80", "S").bytes()), 8, netip.MustParseAddr("fe80::1").AsSlice()...))
	for device, want := range map[string]string{"": "pod", "uplink": "link-local", "overlay": "link-local"} {
		if r := n.toPod(podA(), p, device); r.String() != want {
			t.Errorf("from %q: %s, want %s", device, r, want)
		}
	}
	advertisement := message6("fe80::1", six(netip.MustParseAddr(addrA)).String(), layers.ICMPv6TypeRouterAdvertisement)
	if r := n.toPod(podA(), advertisement, ""); r.String() != "link-local" {
		t.Errorf("router advertisement: %s", r)
	}
	if r := n.toOverlay(message6("fe80::1", "ff02::2", layers.ICMPv6TypeRouterSolicitation), ""); r.String() != "link-local" {
		t.Errorf("into the tunnel: %s", r)
	}
}

// What a far node could forge in the tunnel.
func TestForgedIPv6InTunnel(t *testing.T) {
	n := newNode(t)
	n.v6 = true
	route := wire.Route{From: farPrefix6, To: ownPrefix6, Identity: uint32(idFar)}
	good := n.tag6(ipv6(farOpens.bytes()), route)
	toHost := n.tag6(ipv6(tcp(addrFar+":4000", ownHost+":80", "S").bytes()), route)
	asHost := n.tag6(ipv6(tcp(farHost+":4000", addrA+":80", "S").bytes()), route) // with a pod's identity
	from := func(p []byte, prefix netip.Prefix) []byte {                          // keeps the sum between pods
		return edit(p, 8, prefix.Addr().AsSlice()[:8]...)
	}
	for _, c := range []struct {
		name   string
		packet []byte
		want   string
	}{
		{"as it should be", good, "pod"},
		{"to the node, by its number", toHost, "stack"},
		{"a pod's identity from a node", asHost, "tunnel-identity"},
		{"flag D", edit(good, 35, 1), "tunnel-aux"},
		{"undefined flag", edit(good, 34, 0x80), "tunnel-aux"},
		{"adjust", edit(good, 33, good[33]^1), "tunnel-checksum"},
		{"the other zero", zeroAdjust(n, t), "tunnel-checksum"},
		{"reserved identity", n.tag6(ipv6(farOpens.bytes()), wire.Route{From: farPrefix6, To: ownPrefix6, Identity: 3}), "tunnel-identity"},
		{"source number 0", edit(good, 20, 0, 0, 0, 0), "tunnel-source"},
		{"source number of no address", edit(good, 20, 0, 0, 0, 2), "tunnel-source"},
		{"destination number 0", edit(good, 36, 0, 0, 0, 0), "no-endpoint"},
		{"destination number of no address", edit(good, 36, 0, 0, 0, 2), "no-endpoint"},
		{"this node's own prefix as source", from(good, ownPrefix6), "tunnel-source"},
		{"an unknown node's", from(good, netip.MustParsePrefix("fd10:244:0:77::/64")), "tunnel-source"},
		{"a tunnel prefix as source", from(good, farPrefix), "tunnel-source"},
		{"to another node's range", edit(good, 31, 3), "tunnel-prefix"},
		{"to the world", edit(good, 24, 0x20, 1), "tunnel-prefix"},
		{"extension header", extended(good, 60, make([]byte, 8)), "extension-header"},
		{"neighbour advertisement", n.tag6(message6(six(netip.MustParseAddr(addrFar)).String(), six(netip.MustParseAddr(addrA)).String(), 136), route), "link-local"},
	} {
		n.forgetFlows()
		if r := n.fromOverlay(c.packet); r.String() != c.want {
			t.Errorf("%s: %s, want %s", c.name, r, c.want)
		}
	}
	// The reverse: an IPv4 packet's tag under an IPv6 range.
	if r := n.fromOverlay(edit(tag(t, farOpens.bytes(), farPrefix, idFar, false), 8, farPrefix6.Addr().AsSlice()[:8]...)); r.action != actionDrop {
		t.Errorf("an IPv4 packet from an IPv6 range: %s", r)
	}
}

// zeroAdjust is a packet of which the adjustment is zero, with the other zero
// of one's complement in its place.
func zeroAdjust(n *node, t *testing.T) []byte {
	t.Helper()
	p := n.tag6(ipv6(farOpens.bytes()), wire.Route{From: farPrefix6, To: ownPrefix6, Identity: 0xffff0000})
	if p[32] != 0 || p[33] != 0 {
		t.Fatalf("adjustment %x, want zero", p[32:34])
	}
	return edit(p, 32, 0xff, 0xff)
}

// A packet cut off anywhere is refused at every hook.
func TestTruncatedIPv6(t *testing.T) {
	n := newNode(t)
	n.v6 = true
	for _, h := range headers {
		whole := ipv6(h.p.bytes())
		for size := 40; size < len(whole); size += 1 + size/70 {
			for hook, r := range map[string]result{
				"from_pod": n.fromPod(podA(), whole[:size]), "to_pod": n.toPod(podA(), whole[:size], "overlay"),
				"to_overlay": n.toOverlay(whole[:size], "podA"),
			} {
				if r.String() != "malformed" {
					t.Errorf("%s cut off after %d bytes of %d: %s says %s", h.name, size, len(whole), hook, r)
				}
			}
		}
	}
	whole := n.tag6(ipv6(farOpens.bytes()), wire.Route{From: farPrefix6, To: ownPrefix6, Identity: uint32(idFar)})
	for size := 40; size < len(whole); size++ {
		if r := n.fromOverlay(whole[:size]); r.String() != "malformed" {
			t.Errorf("cut off after %d bytes in the tunnel: %s", size, r)
		}
	}
}

// A router's "packet too big" reaches the pod whose packet it quotes, and no
// other; of a flow to a Service it quotes the Service.
func TestPacketTooBig(t *testing.T) {
	n := newNode(t)
	n.v6 = true
	tooBig := func(src string, quoted ipv4) []byte {
		p := ipv6(icmpError(src+":0", addrA+":0", layers.ICMPv4TypeDestinationUnreachable, quoted).bytes())
		p[40], p[41] = layers.ICMPv6TypePacketTooBig, 0
		binary.BigEndian.PutUint32(p[44:], 1280)
		return setSum(p)
	}
	out := udp(addrA+":4000", world+":443")
	if r := n.toPod(podA(), tooBig("198.51.100.1", out), "uplink"); r.String() != "icmp-unrelated" {
		t.Errorf("of no flow: %s", r)
	}
	n.fromPod(podA(), n.form(out))
	if got := n.describeError(n.toPod(podA(), tooBig("198.51.100.1", out), "uplink")); got != "pod 198.51.100.1>"+addrA+" about "+addrA+":4000>"+world+":443" {
		t.Errorf("of the flow: %s", got)
	}
	if r := n.toPod(podA(), tooBig("198.51.100.1", udp(addrB+":4000", world+":443")), "uplink"); r.String() != "icmp-unrelated" {
		t.Errorf("of another pod's packet: %s", r)
	}
	serves(on(policy.UDP, netip.MustParseAddrPort(world+":8080")))(n)
	n.fromPod(podA(), n.form(udp(addrA+":4001", vip+":80")))
	if got := n.describeError(n.toPod(podA(), tooBig(world, udp(addrA+":4001", world+":8080")), "uplink")); got != "pod "+vip+">"+addrA+" about "+addrA+":4001>"+vip+":80" {
		t.Errorf("of a flow to a Service: %s", got)
	}
}

// An IPv6 datagram in pieces reaches one backend, and is put together there.
func TestServiceFragments6(t *testing.T) {
	n := newNode(t)
	serves(on(policy.UDP, backendB))(n)
	whole := ipv6(udp(addrA+":4000", vip+":80").carrying(make([]byte, 100)).bytes())
	body := whole[40:]
	var joined []byte
	for offset := 0; offset < len(body); offset += 40 {
		end := min(offset+40, len(body))
		header := []byte{17, 0, 0, 0, 0xde, 0xad, 0xbe, 0xef}
		binary.BigEndian.PutUint16(header[2:], uint16(offset))
		if end < len(body) {
			header[3] |= 1
		}
		piece := append(append(bytes.Clone(whole[:40]), header...), body[offset:end]...)
		piece[6] = 44
		binary.BigEndian.PutUint16(piece[4:], uint16(len(piece)-40))
		r := n.fromPod(podA(), piece)
		if got := readHeader(r.packet()); r.String() != "pod" || got.dst != backendB.Addr() {
			t.Fatalf("piece at %d: %s to %s", offset, r, got.dst)
		}
		joined = append(joined, r.packet()[48:]...)
	}
	want := ipv6(udp(addrA+":4000", addrB+":8080").carrying(make([]byte, 100)).bytes())
	checkSums(t, append(want[:40], joined...))
}

// What the programs could not work with is refused before it reaches them.
func TestIPv6Configuration(t *testing.T) {
	n := newNode(t)
	for _, addr := range []string{"fd10:244:0:1::f", "fd10:244:0:1::", "fd10:244:0:1:0:1:1:7", "fd10:244:0:2::1:7", "2001:db8::1", "::ffff:10.244.1.7"} {
		ep := podA()
		ep.Addr = netip.MustParseAddr(addr)
		if err := n.SetEndpoint(ep); err == nil {
			t.Errorf("endpoint %s is accepted", addr)
		}
	}
	at := netip.MustParsePrefix
	for name, table := range map[string]map[netip.Prefix]Location{
		"no number":    {at("2001:db8::9/128"): {Kind: RemoteHost, Prefix: farPrefix6}},
		"number 16":    {at("2001:db8::9/128"): {Kind: RemoteHost, Prefix: farPrefix6, Host: 16}},
		"no range":     {at("2001:db8::9/128"): {Kind: RemoteHost, Host: 1}},
		"no address":   {at("2001:db8::/64"): {Kind: RemoteHost, Prefix: farPrefix6, Host: 1}},
		"IPv4":         {at("172.18.0.2/32"): {Kind: RemoteHost, Prefix: farPrefix, Host: 1}},
		"pods":         {farPrefix6: {Kind: RemotePods, Prefix: farPrefix6, Host: 1}},
		"IPv4-mapped":  {at("::ffff:172.18.0.0/112"): {Kind: ClusterPods}},
		"number twice": {at("2001:db8::9/128"): {Kind: RemoteHost, Prefix: farPrefix6, Host: 1}, at("2001:db8::a/128"): {Kind: RemoteHost, Prefix: farPrefix6, Host: 1}},
	} {
		if changed, err := n.SetLocations(table); err == nil || changed {
			t.Errorf("%s: changed %v, %v", name, changed, err)
		}
	}
	for _, prefix := range []string{"fd10:244:0:1::/65", "10.244.1.0/24", "::/64", ownPrefix.String()} {
		cfg := testConfig(t)
		cfg.Prefix6 = at(prefix)
		if d, err := Open(cfg); err == nil {
			t.Errorf("the IPv6 pod CIDR %s is accepted", prefix)
			must(t, d.Close())
		}
	}
}
