// Package guard is the last line before the wire and the first behind it. Its
// nftables rules, behind all address translation, drop what has a pod's address
// and would leave the node by a device that no program covers; they keep pods
// from the WireGuard ports, and the tunnel's own addresses out of the host
// stack. It owns one nftables table, "signet-guard", which outlives the agent.
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

// The reasons of drops, named as the programs' reasons are, and what they mean.
const (
	OutsideTunnel = "outside-tunnel"
	TunnelPort    = "tunnel-port"
	TunnelAddress = "tunnel-address"
)

var texts = map[string]string{
	OutsideTunnel: "a pod's address, leaving by a device that no hook covers",
	TunnelPort:    "from a pod or another node's, to a WireGuard port of this node",
	TunnelAddress: "an address inside the tunnel, met outside it",
}

// Config says what to drop.
type Config struct {
	Pods []netip.Prefix // all pods' ranges, of either family; at least one
	// Covered are the names of the devices that lead to pods: the WireGuard
	// devices', and with "*" at the end the beginning of the pods' own.
	Covered []string
	Ports   []uint16     // UDP, that WireGuard listens on; at least one
	Tunnel  netip.Prefix // IPv6: all nodes' prefixes inside the tunnel
}

// Devices are those to cover: the WireGuard devices, signet0 and signet1, and
// what begins like a pod's.
func Devices(podPrefix string) []string { return []string{"signet*", podPrefix + "*"} }

// Ports are those of both WireGuard devices: the second listens next to the
// first.
func Ports(port uint16) []uint16 { return []uint16{port, port + 1} }

// Drop is what the guard has dropped for one reason since the node started. A
// packet that the device was to segment counts once.
type Drop struct {
	Packets, Bytes uint64
	Text           string // what the reason means
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
	for reason := range texts {
		conn.AddObj(counter(reason))
	}
	for _, ch := range c.chains() {
		chain := conn.AddChain(&nftables.Chain{
			Name: ch.name, Table: table(), Type: nftables.ChainTypeFilter,
			Hooknum: ch.hook, Priority: nftables.ChainPriorityRef(ch.priority),
		})
		conn.FlushChain(chain)
		for _, exprs := range ch.rules {
			conn.AddRule(&nftables.Rule{Table: table(), Chain: chain, Exprs: exprs})
		}
	}
	if err := conn.Flush(); err != nil {
		return fmt.Errorf("write nftables table %s: %w (does the kernel have nf_tables for inet?)", table().Name, err)
	}
	return nil
}

// Dropped reads the counters, by reason. It is an error if there is no guard.
func Dropped() (map[string]Drop, error) {
	conn, err := nftables.New()
	if err != nil {
		return nil, fmt.Errorf("open nftables: %w", err)
	}
	found, err := conn.GetNamedObjects(table())
	if err != nil {
		return nil, fmt.Errorf("read the guard's counters: %w", err)
	}
	drops := map[string]Drop{}
	for _, o := range found {
		if named, ok := o.(*nftables.NamedObj); ok {
			if count, ok := named.Obj.(*expr.Counter); ok {
				drops[named.Name] = Drop{count.Packets, count.Bytes, texts[named.Name]}
			}
		}
	}
	if len(drops) == 0 {
		return nil, errors.New("the guard's counters are gone")
	}
	return drops, nil
}

func table() *nftables.Table {
	return &nftables.Table{Name: "signet-guard", Family: nftables.TableFamilyINet}
}

func counter(reason string) *nftables.NamedObj {
	return &nftables.NamedObj{Table: table(), Name: reason, Type: nftables.ObjTypeCounter, Obj: &expr.Counter{}}
}

func (c Config) check() error {
	if len(c.Pods) == 0 || len(c.Covered) == 0 || len(c.Ports) == 0 {
		return fmt.Errorf("pods %v, covered devices %q, ports %v: want one of each at least", c.Pods, c.Covered, c.Ports)
	}
	if !c.Tunnel.Addr().Is6() {
		return fmt.Errorf("%s is no IPv6 range", c.Tunnel)
	}
	for _, p := range append(c.Pods, c.Tunnel) {
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
