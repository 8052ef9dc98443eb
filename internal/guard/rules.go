package guard

import (
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// rules are what the chain consists of, in order.
func (c Config) rules() [][]expr.Any {
	var rules [][]expr.Any
	for _, name := range append([]string{"lo"}, c.Covered...) {
		rules = append(rules, append(device(expr.MetaKeyOIFNAME, name), &expr.Verdict{Kind: expr.VerdictAccept}))
	}
	for _, p := range c.Pods {
		for _, end := range ends(p) {
			rules = append(rules, append(end, drop()...))
		}
	}
	if slices.ContainsFunc(c.Pods, is6) {
		return rules
	}
	for _, name := range c.Covered { // pods without IPv6 send none
		exprs := append(device(expr.MetaKeyIIFNAME, name), family(unix.NFPROTO_IPV6)...)
		rules = append(rules, append(exprs, drop()...))
	}
	return rules
}

func is6(p netip.Prefix) bool { return p.Addr().Is6() }

func drop() []expr.Any {
	return []expr.Any{
		&expr.Objref{Type: unix.NFT_OBJECT_COUNTER, Name: Reason},
		&expr.Verdict{Kind: expr.VerdictDrop},
	}
}

// device compares a device's name, or its beginning.
func device(key expr.MetaKey, name string) []expr.Any {
	data, begins := strings.CutSuffix(name, "*")
	if !begins {
		data += strings.Repeat("\x00", unix.IFNAMSIZ-len(name))
	}
	return []expr.Any{
		&expr.Meta{Key: key, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte(data)},
	}
}

func family(protocol byte) []expr.Any {
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyNFPROTO, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{protocol}},
	}
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
		both[i] = append(family(protocol),
			&expr.Payload{
				DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: source + uint32(i)*size, Len: size,
			},
			&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: size, Mask: mask, Xor: make([]byte, size)},
			&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: p.Addr().AsSlice()})
	}
	return both
}
