// Package masquerade lets pods reach the world: what leaves the cluster takes
// the address of its node, and what the programs mark is not tracked. It owns
// one nftables table, "signet".
package masquerade

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// tableName is the nftables table (family ip) that Set owns.
const tableName = "signet"

// Rules says what to masquerade: packets from Pods to anywhere outside
// Cluster, unless they leave by the Overlay device.
type Rules struct {
	Pods    netip.Prefix // IPv4: this node's pods
	Cluster netip.Prefix // IPv4: all pods
	Overlay string       // name of the WireGuard device
	// Untracked is the mark of packets whose flow the node's connection
	// tracking sees one direction of. It would take the flow for invalid, and
	// kube-proxy drops what is.
	Untracked uint32
}

// Set makes the table say exactly that, in one transaction. Connections that
// are translated already stay so.
func Set(r Rules) error {
	if !r.Pods.Addr().Is4() || !r.Cluster.Addr().Is4() || r.Overlay == "" || r.Untracked == 0 {
		return fmt.Errorf("masquerade %s outside %s: want IPv4 ranges, a device and a mark", r.Pods, r.Cluster)
	}
	c, err := nftables.New()
	if err != nil {
		return fmt.Errorf("open nftables: %w", err)
	}
	table := &nftables.Table{Name: tableName, Family: nftables.TableFamilyIPv4}
	c.AddTable(table) // so that deleting it cannot fail
	c.DelTable(table)
	c.AddTable(table)
	accept := nftables.ChainPolicyAccept
	chain := c.AddChain(&nftables.Chain{
		Name: "postrouting", Table: table, Type: nftables.ChainTypeNAT,
		Hooknum: nftables.ChainHookPostrouting, Priority: nftables.ChainPriorityNATSource,
		Policy: &accept,
	})
	c.AddRule(&nftables.Rule{Table: table, Chain: chain, Exprs: r.exprs()})
	raw := c.AddChain(&nftables.Chain{
		Name: "prerouting", Table: table, Type: nftables.ChainTypeFilter,
		Hooknum: nftables.ChainHookPrerouting, Priority: nftables.ChainPriorityRaw,
		Policy: &accept,
	})
	c.AddRule(&nftables.Rule{Table: table, Chain: raw, Exprs: []expr.Any{
		&expr.Meta{Key: expr.MetaKeyMARK, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: binaryutil.NativeEndian.PutUint32(r.Untracked)},
		&expr.Notrack{},
	}})
	if err := c.Flush(); err != nil {
		return fmt.Errorf("write nftables table %s: %w (does the kernel have nf_tables with NAT?)", tableName, err)
	}
	return nil
}

// Remove deletes the table; that there is none is no error.
func Remove() error {
	c, err := nftables.New()
	if err != nil {
		return fmt.Errorf("open nftables: %w", err)
	}
	c.DelTable(&nftables.Table{Name: tableName, Family: nftables.TableFamilyIPv4})
	if err := c.Flush(); err != nil && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("delete nftables table %s: %w", tableName, err)
	}
	return nil
}

func (r Rules) exprs() []expr.Any {
	const sourceOffset, destinationOffset = 12, 16 // RFC 791 section 3.1
	exprs := append(inRange(sourceOffset, r.Pods, expr.CmpOpEq),
		inRange(destinationOffset, r.Cluster, expr.CmpOpNeq)...)
	return append(exprs,
		&expr.Meta{Key: expr.MetaKeyOIFNAME, Register: 1},
		&expr.Cmp{Op: expr.CmpOpNeq, Register: 1, Data: interfaceName(r.Overlay)},
		&expr.Masq{},
	)
}

// inRange compares the IPv4 address at an offset of the header with a range.
func inRange(offset uint32, p netip.Prefix, op expr.CmpOp) []expr.Any {
	mask := binaryutil.BigEndian.PutUint32(^uint32(0) << (32 - p.Bits()))
	addr := p.Masked().Addr().As4()
	return []expr.Any{
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: offset, Len: 4},
		&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: 4, Mask: mask, Xor: make([]byte, 4)},
		&expr.Cmp{Op: op, Register: 1, Data: addr[:]},
	}
}

// interfaceName pads a name as the kernel compares it.
func interfaceName(name string) []byte {
	padded := make([]byte, unix.IFNAMSIZ)
	copy(padded, name)
	return padded
}
