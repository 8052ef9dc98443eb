// Package guard is the last line before the wire: an nftables rule behind all
// address translation drops what has a pod's address and would leave the node
// by a device that no program covers. It owns one nftables table,
// "signet-guard", which outlives the agent.
package guard

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// Reason and Text name the drops, as the programs' reasons do.
const (
	Reason = "outside-tunnel"
	Text   = "a pod's address, leaving by a device that no hook covers"
)

// priority is behind the translation of sources, where packets have the
// addresses with which they leave.
const priority = 200

// Config says what may not leave.
type Config struct {
	Pods []netip.Prefix // all pods' ranges, of either family; at least one
	// Covered are the names of the devices that lead to pods: the WireGuard
	// device's, and with "*" at the end the beginning of the pods' own.
	Covered []string
}

// Drops is what the guard has dropped since the node started. A packet that the
// device was to segment counts once.
type Drops struct {
	Packets, Bytes uint64
}

// Set makes the table say exactly that, in one transaction. What was counted
// stays.
func Set(c Config) error {
	if err := c.check(); err != nil {
		return fmt.Errorf("guard: %w", err)
	}
	conn, err := nftables.New()
	if err != nil {
		return fmt.Errorf("open nftables: %w", err)
	}
	conn.AddTable(table())
	conn.AddObj(counter())
	chain := conn.AddChain(&nftables.Chain{
		Name: "postrouting", Table: table(), Type: nftables.ChainTypeFilter,
		Hooknum: nftables.ChainHookPostrouting, Priority: nftables.ChainPriorityRef(priority),
	})
	conn.FlushChain(chain)
	for _, exprs := range c.rules() {
		conn.AddRule(&nftables.Rule{Table: table(), Chain: chain, Exprs: exprs})
	}
	if err := conn.Flush(); err != nil {
		return fmt.Errorf("write nftables table %s: %w (does the kernel have nf_tables for inet?)", table().Name, err)
	}
	return nil
}

// Dropped reads the counter. It is an error if there is no guard.
func Dropped() (Drops, error) {
	conn, err := nftables.New()
	if err != nil {
		return Drops{}, fmt.Errorf("open nftables: %w", err)
	}
	found, err := conn.GetObject(counter())
	if err == nil && found == nil {
		err = errors.New("it is gone")
	}
	if err != nil {
		return Drops{}, fmt.Errorf("read the guard's counter: %w", err)
	}
	count, ok := found.(*nftables.NamedObj).Obj.(*expr.Counter)
	if !ok {
		return Drops{}, fmt.Errorf("read the guard's counter: it is a %T", found)
	}
	return Drops{Packets: count.Packets, Bytes: count.Bytes}, nil
}

func table() *nftables.Table {
	return &nftables.Table{Name: "signet-guard", Family: nftables.TableFamilyINet}
}

func counter() *nftables.NamedObj {
	return &nftables.NamedObj{Table: table(), Name: Reason, Type: nftables.ObjTypeCounter, Obj: &expr.Counter{}}
}

func (c Config) check() error {
	if len(c.Pods) == 0 || len(c.Covered) == 0 {
		return fmt.Errorf("pods %v, covered devices %q: want one of each at least", c.Pods, c.Covered)
	}
	for _, p := range c.Pods {
		if !p.IsValid() || p != p.Masked() {
			return fmt.Errorf("%s is no range", p)
		}
	}
	for _, name := range c.Covered {
		if base := strings.TrimSuffix(name, "*"); base == "" || len(base) >= unix.IFNAMSIZ {
			return fmt.Errorf("%q is no device", name)
		}
	}
	return nil
}
