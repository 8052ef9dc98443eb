package guard

import (
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// chain is one of the table's.
type chain struct {
	name     string
	hook     *nftables.ChainHook
	priority nftables.ChainPriority
	rules    [][]expr.Any
}

func (c Config) chains() []chain {
	return []chain{
		// Before connection tracking makes anything of the packet.
		{"prerouting", nftables.ChainHookPrerouting, *nftables.ChainPriorityRaw, c.arriving()},
		{"input", nftables.ChainHookInput, *nftables.ChainPriorityFilter, c.local()},
		// Behind the translation of sources: packets have the addresses with
		// which they leave.
		{"postrouting", nftables.ChainHookPostrouting, *nftables.ChainPriorityNATSource + 100, c.leaving()},
	}
}

// arriving: the programs take packets with the tunnel's addresses before the
// host stack sees them.
func (c Config) arriving() [][]expr.Any {
	var rules [][]expr.Any
	for _, end := range ends(c.Tunnel) {
		rules = append(rules, slices.Concat(end, drop(TunnelAddress)))
	}
	return rules
}

// local: nobody speaks WireGuard from inside the tunnel, or a pod.
func (c Config) local() [][]expr.Any {
	var rules [][]expr.Any
	for _, name := range c.Covered {
		for _, port := range c.Ports {
			rules = append(rules, slices.Concat(device(expr.MetaKeyIIFNAME, name), udpTo(port), drop(TunnelPort)))
		}
	}
	return rules
}

func (c Config) leaving() [][]expr.Any {
	var rules [][]expr.Any
	for _, name := range append([]string{"lo"}, c.Covered...) {
		rules = append(rules, append(device(expr.MetaKeyOIFNAME, name), &expr.Verdict{Kind: expr.VerdictAccept}))
	}
	for _, p := range c.Pods {
		for _, end := range ends(p) {
			rules = append(rules, slices.Concat(end, drop(OutsideTunnel)))
		}
	}
	// The kernel's WireGuard answers a packet that has no peer with an ICMP error
	// that quotes it, to its source inside the tunnel.
	for _, end := range ends(c.Tunnel) {
		rules = append(rules, slices.Concat(end, drop(TunnelAddress)))
	}
	if slices.ContainsFunc(c.Pods, is6) {
		return rules
	}
	for _, name := range c.Covered { // pods without IPv6 send none
		from := device(expr.MetaKeyIIFNAME, name)
		rules = append(rules, slices.Concat(from, meta(expr.MetaKeyNFPROTO, unix.NFPROTO_IPV6), drop(OutsideTunnel)))
	}
	return rules
}

func is6(p netip.Prefix) bool { return p.Addr().Is6() }

func drop(reason string) []expr.Any {
	return []expr.Any{
		&expr.Objref{Type: unix.NFT_OBJECT_COUNTER, Name: reason},
		&expr.Verdict{Kind: expr.VerdictDrop},
	}
}

// device compares a device's name, or its beginning.
func device(key expr.MetaKey, name string) []expr.Any {
	data, begins := strings.CutSuffix(name, "*")
	if !begins {
		data += strings.Repeat("\x00", unix.IFNAMSIZ-len(name))
	}
	return meta(key, []byte(data)...)
}

func meta(key expr.MetaKey, data ...byte) []expr.Any {
	return []expr.Any{
		&expr.Meta{Key: key, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: data},
	}
}

func udpTo(port uint16) []expr.Any {
	const destination = 2 // RFC 768
	return append(meta(expr.MetaKeyL4PROTO, unix.IPPROTO_UDP),
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: destination, Len: 2},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: binaryutil.BigEndian.PutUint16(port)})
}

// ends gives two rules' beginnings: a source in p, and a destination.
func ends(p netip.Prefix) [2][]expr.Any {
	protocol, source := byte(unix.NFPROTO_IPV4), uint32(12) // RFC 791 section 3.1
	if is6(p) {
		protocol, source = unix.NFPROTO_IPV6, 8 // RFC 8200 section 3
	}
	size := uint32(p.Addr().BitLen() / 8)
	mask := net.CIDRMask(p.Bits(), p.Addr().BitLen())
	var both [2][]expr.Any
	for i := range both {
		both[i] = append(meta(expr.MetaKeyNFPROTO, protocol),
			&expr.Payload{
				DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: source + uint32(i)*size, Len: size,
			},
			&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: size, Mask: mask, Xor: make([]byte, size)},
			&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: p.Addr().AsSlice()})
	}
	return both
}
