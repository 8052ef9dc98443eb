package harness

import (
	"net/netip"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// Forward is a port of a node that stands for a pod, as kube-proxy or the
// portmap plugin would make one. It holds for packets that arrive and for
// those of the node's own processes.
type Forward struct {
	Port       uint16 // on the node's address, TCP and UDP
	To         netip.AddrPort
	Masquerade bool // the pod sees the node's address as source
}

// masqueradeMark is kube-proxy's.
const masqueradeMark = 0x4000

// SetForwards makes the node forward exactly these ports, of its address of the
// same family as the pod's. Like kube-proxy, it drops what connection tracking
// holds for invalid.
func (n *Node) SetForwards(forwards ...Forward) {
	n.t.Helper()
	n.Do(func() error {
		c, err := nftables.New()
		if err != nil {
			return err
		}
		forward(c, nftables.TableFamilyIPv4, n.Addr, forwards)
		if n.Addr6.IsValid() {
			forward(c, nftables.TableFamilyIPv6, n.Addr6, forwards)
		}
		return c.Flush()
	})
}

func forward(c *nftables.Conn, family nftables.TableFamily, node netip.Addr, forwards []Forward) {
	table := &nftables.Table{Name: "test-forward", Family: family}
	c.AddTable(table)
	c.DelTable(table)
	c.AddTable(table)
	for name, hook := range map[string]*nftables.ChainHook{
		"prerouting": nftables.ChainHookPrerouting, "output": nftables.ChainHookOutput,
	} {
		chain := natChain(table, name, hook, nftables.ChainPriorityNATDest)
		c.AddChain(chain)
		for _, f := range forwards {
			if f.To.Addr().Is4() == node.Is4() {
				c.AddRule(&nftables.Rule{Table: table, Chain: chain, Exprs: f.exprs(node, unix.IPPROTO_TCP)})
				c.AddRule(&nftables.Rule{Table: table, Chain: chain, Exprs: f.exprs(node, unix.IPPROTO_UDP)})
			}
		}
	}
	chain := natChain(table, "postrouting", nftables.ChainHookPostrouting, nftables.ChainPriorityNATSource)
	c.AddChain(chain)
	c.AddRule(&nftables.Rule{Table: table, Chain: chain, Exprs: masqueradeMarked()})
	dropInvalid(c, table)
}

func natChain(table *nftables.Table, name string, hook *nftables.ChainHook, priority *nftables.ChainPriority) *nftables.Chain {
	accept := nftables.ChainPolicyAccept
	return &nftables.Chain{
		Name: name, Table: table, Type: nftables.ChainTypeNAT,
		Hooknum: hook, Priority: priority, Policy: &accept,
	}
}

func (f Forward) exprs(node netip.Addr, protocol byte) []expr.Any {
	const destinationPortOffset = 2
	destinationOffset, family := uint32(16), uint32(unix.NFPROTO_IPV4)
	if node.Is6() {
		destinationOffset, family = 24, unix.NFPROTO_IPV6
	}
	exprs := []expr.Any{
		&expr.Payload{
			DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: destinationOffset, Len: uint32(node.BitLen() / 8),
		},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: node.AsSlice()},
		&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{protocol}},
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: destinationPortOffset, Len: 2},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: binaryutil.BigEndian.PutUint16(f.Port)},
	}
	if f.Masquerade {
		exprs = append(exprs,
			&expr.Immediate{Register: 1, Data: binaryutil.NativeEndian.PutUint32(masqueradeMark)},
			&expr.Meta{Key: expr.MetaKeyMARK, Register: 1, SourceRegister: true})
	}
	return append(exprs,
		&expr.Immediate{Register: 1, Data: f.To.Addr().AsSlice()},
		&expr.Immediate{Register: 2, Data: binaryutil.BigEndian.PutUint16(f.To.Port())},
		&expr.NAT{Type: expr.NATTypeDestNAT, Family: family, RegAddrMin: 1, RegProtoMin: 2})
}

func masqueradeMarked() []expr.Any {
	mark := binaryutil.NativeEndian.PutUint32(masqueradeMark)
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyMARK, Register: 1},
		&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: 4, Mask: mark, Xor: make([]byte, 4)},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: mark},
		&expr.Masq{},
	}
}

func dropInvalid(c *nftables.Conn, table *nftables.Table) {
	accept := nftables.ChainPolicyAccept
	chain := &nftables.Chain{
		Name: "forward", Table: table, Type: nftables.ChainTypeFilter,
		Hooknum: nftables.ChainHookForward, Priority: nftables.ChainPriorityFilter, Policy: &accept,
	}
	c.AddChain(chain)
	c.AddRule(&nftables.Rule{Table: table, Chain: chain, Exprs: []expr.Any{
		&expr.Ct{Key: expr.CtKeySTATE, Register: 1},
		&expr.Bitwise{
			SourceRegister: 1, DestRegister: 1, Len: 4,
			Mask: binaryutil.NativeEndian.PutUint32(expr.CtStateBitINVALID), Xor: make([]byte, 4),
		},
		&expr.Cmp{Op: expr.CmpOpNeq, Register: 1, Data: make([]byte, 4)},
		&expr.Verdict{Kind: expr.VerdictDrop},
	}})
}
