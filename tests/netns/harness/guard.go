package harness

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/signet-cni/signet/internal/masquerade"
)

// LeadOutside gives the node a route past the tunnel, as a routing daemon or a
// cloud's agent might, until restore is called.
func (n *Node) LeadOutside(p netip.Prefix) (restore func()) {
	n.t.Helper()
	dst := ipNet(p.String())
	via := gatewayFor(p.Addr())
	n.Do(func() error { return addRoute("eth0", dst, via) })
	return func() {
		n.t.Helper()
		n.Do(func() error { return netlink.RouteDel(&netlink.Route{Dst: dst, Gw: via.AsSlice()}) })
	}
}

// DetachPod takes the programs off a pod's interface, as somebody with rights
// on the node could. They are back when the agent has started again.
func (n *Node) DetachPod(p *Pod) {
	n.t.Helper()
	if p.HasClsact() {
		n.Do(func() error {
			return netlink.QdiscDel(&netlink.Clsact{QdiscAttrs: netlink.QdiscAttrs{
				LinkIndex: p.endpoint.HostIfIndex, Handle: netlink.MakeHandle(0xffff, 0), Parent: netlink.HANDLE_CLSACT,
			}})
		})
	}
	n.cluster.must(n.Datapath.Detach(p.endpoint.HostIfIndex))
	// The kernel lets go of a program a little after its link is gone.
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(time.Millisecond) {
		left, err := p.Hooked()
		n.cluster.must(err)
		if len(left.FromPod)+len(left.ToPod) == 0 {
			return
		}
		if time.Now().After(deadline) {
			n.t.Fatalf("%s: programs %v are still attached", p.HostIf(), left)
		}
	}
}

// SetTables writes Signet's nftables tables again.
func (n *Node) SetTables() { n.Do(n.setTables) }

// Unmasquerade deletes the table that translates the pods' addresses.
func (n *Node) Unmasquerade() { n.Do(masquerade.Remove) }

// UseIPv6 lets the node speak and forward IPv6 on these devices.
func (n *Node) UseIPv6(devices ...string) {
	n.t.Helper()
	n.Do(func() error {
		for _, device := range devices {
			err := errors.Join(sysctl("ipv6/conf/"+device+"/addr_gen_mode", "1"), // none
				sysctl("ipv6/conf/"+device+"/disable_ipv6", "0"))
			if err != nil {
				return err
			}
		}
		return sysctl("ipv6/conf/all/forwarding", "1")
	})
}

// LeadToUplink makes the node send what is for an address to the underlay, to a
// neighbour that answers nothing.
func (n *Node) LeadToUplink(to netip.Addr) {
	n.t.Helper()
	n.Do(func() error {
		if err := addRoute("eth0", hostNet(to), netip.Addr{}); err != nil {
			return fmt.Errorf("route to %s: %w", to, err)
		}
		return addNeighbour("eth0", to)
	})
}

// addNeighbour tells a MAC of nobody for a neighbour.
func addNeighbour(device string, a netip.Addr) error {
	found, err := netlink.LinkByName(device)
	if err != nil {
		return err
	}
	return netlink.NeighSet(&netlink.Neigh{
		LinkIndex: found.Attrs().Index, IP: a.AsSlice(), State: netlink.NUD_PERMANENT,
		HardwareAddr: net.HardwareAddr{2, 6, 6, 6, 6, 6},
	})
}
