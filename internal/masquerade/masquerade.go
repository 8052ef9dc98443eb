// Package masquerade lets pods reach the world: what leaves the cluster takes
// the address of its node, and what the programs mark is not tracked. It owns
// one nftables table of each family, "signet".
package masquerade

import (
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// tableName is the nftables table (families ip and ip6) that Set owns.
const tableName = "signet"

// Rules says what to masquerade: packets from Pods to anywhere outside
// Cluster, unless they leave by the Overlay device.
type Rules struct {
	Pods    []netip.Prefix // this node's pods: IPv4, and perhaps IPv6
	Cluster []netip.Prefix // all pods, of the same families at least
	Overlay string         // name of the WireGuard device
	// Untracked is the mark of packets whose flow the node's connection
	// tracking sees one direction of. It would take the flow for invalid, and
	// kube-proxy drops what is.
	Untracked uint32
}

// family is what differs between the two families.
type family struct {
	table               nftables.TableFamily
	is                  func(netip.Addr) bool
	source, destination uint32 // offsets in the header
}

var (
	ipv4 = family{nftables.TableFamilyIPv4, netip.Addr.Is4, 12, 16} // RFC 791 section 3.1
	ipv6 = family{nftables.TableFamilyIPv6, netip.Addr.Is6, 8, 24}  // RFC 8200 section 3
)

// Set makes the tables say exactly that, in one transaction. Without IPv6 pods
// there is no table of IPv6. Connections that are translated already stay so.
func Set(r Rules) error {
	if _, _, ok := r.of(ipv4); !ok || r.Overlay == "" || r.Untracked == 0 {
		return fmt.Errorf("masquerade %v outside %v: want IPv4 ranges, a device and a mark", r.Pods, r.Cluster)
	}
	c, err := nftables.New()
	if err != nil {
		return fmt.Errorf("open nftables: %w", err)
	}
	for _, f := range []family{ipv4, ipv6} {
		table := &nftables.Table{Name: tableName, Family: f.table}
		c.AddTable(table) // so that deleting it cannot fail
		c.DelTable(table)
		if pods, cluster, ok := r.of(f); ok {
			r.fill(c, c.AddTable(table), masqueraded(f, pods, cluster, r.Overlay))
		}
	}
	if err := c.Flush(); err != nil {
		return fmt.Errorf("write nftables table %s: %w (does the kernel have nf_tables with NAT?)", tableName, err)
	}
	return nil
}

// of gives the ranges of one family; ok is false unless there are both.
func (r Rules) of(f family) (pods, cluster netip.Prefix, ok bool) {
	pick := func(list []netip.Prefix) (found netip.Prefix) {
		for _, p := range list {
			if f.is(p.Addr()) {
				found = p
			}
		}
		return found
	}
	pods, cluster = pick(r.Pods), pick(r.Cluster)
	return pods, cluster, pods.IsValid() && cluster.IsValid()
}

func (r Rules) fill(c *nftables.Conn, table *nftables.Table, masqueraded []expr.Any) {
	accept := nftables.ChainPolicyAccept
	chain := c.AddChain(&nftables.Chain{
		Name: "postrouting", Table: table, Type: nftables.ChainTypeNAT,
		Hooknum: nftables.ChainHookPostrouting, Priority: nftables.ChainPriorityNATSource,
		Policy: &accept,
	})
	c.AddRule(&nftables.Rule{Table: table, Chain: chain, Exprs: masqueraded})
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
}

// Remove deletes the tables; that there are none is no error.
func Remove() error {
	var errs []error
	for _, f := range []family{ipv4, ipv6} {
		c, err := nftables.New()
		if err != nil {
			return fmt.Errorf("open nftables: %w", err)
		}
		c.DelTable(&nftables.Table{Name: tableName, Family: f.table})
		if err := c.Flush(); err != nil && !errors.Is(err, unix.ENOENT) {
			errs = append(errs, fmt.Errorf("delete nftables table %s: %w", tableName, err))
		}
	}
	return errors.Join(errs...)
}

func masqueraded(f family, pods, cluster netip.Prefix, overlay string) []expr.Any {
	exprs := append(inRange(f.source, pods, expr.CmpOpEq), inRange(f.destination, cluster, expr.CmpOpNeq)...)
	return append(exprs,
		&expr.Meta{Key: expr.MetaKeyOIFNAME, Register: 1},
		&expr.Cmp{Op: expr.CmpOpNeq, Register: 1, Data: interfaceName(overlay)},
		&expr.Masq{},
	)
}

// inRange compares the address at an offset of the header with a range.
func inRange(offset uint32, p netip.Prefix, op expr.CmpOp) []expr.Any {
	size := uint32(p.Addr().BitLen() / 8)
	return []expr.Any{
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: offset, Len: size},
		&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: size, Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen()), Xor: make([]byte, size)},
		&expr.Cmp{Op: op, Register: 1, Data: p.Masked().Addr().AsSlice()},
	}
}

// interfaceName pads a name as the kernel compares it.
func interfaceName(name string) []byte {
	padded := make([]byte, unix.IFNAMSIZ)
	copy(padded, name)
	return padded
}
