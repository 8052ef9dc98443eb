package harness

import (
	"errors"
	"fmt"
	"net/netip"
	"os"

	"github.com/vishvananda/netlink"
	"golang.zx2c4.com/wireguard/wgctrl/wgtypes"

	"github.com/signet-cni/signet/overlay"
	"github.com/signet-cni/signet/overlay/device"
)

// SetUnderlayMTU gives every link of the underlay another MTU, in bytes, which
// the nodes then plan for. Their pods keep theirs.
func (c *Cluster) SetUnderlayMTU(mtu int) error {
	c.options.UnderlayMTU = mtu
	links := map[string]*Namespace{"world": c.World.Namespace}
	for _, n := range c.machines {
		links[n.Uplink] = n.Namespace
	}
	for outer, inside := range links {
		if err := errors.Join(setMTU(outer, mtu), inside.Try(func() error { return setMTU("eth0", mtu) })); err != nil {
			return err
		}
	}
	return c.Sync()
}

func setMTU(name string, mtu int) error {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return fmt.Errorf("find %s: %w", name, err)
	}
	return netlink.LinkSetMTU(link, mtu)
}

// Renumber gives the node another IPv4 address on the underlay, and only its own
// agent notices. The node must have both families.
func (n *Node) Renumber(to netip.Addr) error {
	old := n.own[0]
	err := errors.Join(addRoute(n.Uplink, hostNet(to), netip.Addr{}), n.Try(func() error {
		if err := addAddress("eth0", to); err != nil {
			return err
		}
		link, err := netlink.LinkByName("eth0")
		if err != nil {
			return err
		}
		return errors.Join(netlink.AddrDel(link, &netlink.Addr{IPNet: hostNet(old)}), addRoute("eth0", anywhere(to), gatewayFor(to)))
	}))
	if err != nil {
		return fmt.Errorf("renumber %s: %w", n.name, err)
	}
	n.own = []netip.Addr{to, n.own[1]}
	n.Addr = to
	n.publish()
	return n.sync(n.cluster.publications())
}

// ExpireSessions makes WireGuard give up the sessions with all peers, as it does
// by itself when they are older than 180 s: it does so when its key changes.
func (n *Node) ExpireSessions() error {
	key, err := wgtypes.GeneratePrivateKey()
	if err != nil {
		return err
	}
	err = n.Try(func() error {
		_, err := n.wg.first.Configure(device.Desired{
			PrivateKey: key, ListenPort: overlay.DefaultPort, MTU: n.Plan.MTU.Device,
			Address: n.Plan.Address, Address6: n.Plan.Address6, Peers: n.Plan.Peers, Routes: n.Plan.Routes,
		})
		return err
	})
	return errors.Join(err, n.configure())
}

// Reboot ends what does not outlive a boot, devices, sessions and all that the
// datapath had pinned, and starts the node's agent. Keys and pods stay.
func (n *Node) Reboot() error {
	n.t.Helper()
	endpoints := n.Datapath.Endpoints()
	if n.Userspace() {
		n.KillServer()
	}
	n.CloseDatapath()
	err := n.Try(func() error {
		return errors.Join(removeLink(overlay.DefaultDevice), removeLink(overlay.DetourDevice), os.RemoveAll(n.pinPath()))
	})
	if err != nil {
		return err
	}
	if n.wg, err = newWireGuard(n.Namespace); err != nil {
		return err
	}
	if err := n.OpenTunnel(); err != nil {
		return err
	}
	return errors.Join(n.refill(endpoints), n.sync(n.cluster.publications()))
}

func removeLink(name string) error {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return fmt.Errorf("find %s: %w", name, err)
	}
	return netlink.LinkDel(link)
}
