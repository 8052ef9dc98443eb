package harness

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/vishvananda/netlink"
	"golang.zx2c4.com/wireguard/wgctrl"
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
	return n.Try(func() error {
		control, err := wgctrl.New()
		if err != nil {
			return err
		}
		defer control.Close()
		for _, name := range []string{overlay.DefaultDevice, overlay.DetourDevice} {
			before, err := control.Device(name)
			if err != nil {
				return err
			}
			other, err := wgtypes.GeneratePrivateKey()
			if err != nil {
				return err
			}
			for _, key := range []wgtypes.Key{other, before.PrivateKey} {
				if err := control.ConfigureDevice(name, wgtypes.Config{PrivateKey: &key}); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// Reboot ends what of the tunnel does not outlive a boot, devices and sessions,
// and starts the node's agent. The key stays.
func (n *Node) Reboot() error {
	if n.Userspace() {
		n.KillServer()
	}
	err := n.Try(func() error {
		return errors.Join(removeLink(overlay.DefaultDevice), removeLink(overlay.DetourDevice))
	})
	if err == nil && n.wg.kind() == device.Userspace {
		err = n.wg.startServer()
	}
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := n.Try(func() error { return n.tunnel.Restore(ctx) }); err != nil {
		return err
	}
	n.CloseDatapath()
	n.OpenDatapath()
	if err := n.OpenTunnel(); err != nil {
		return err
	}
	return n.sync(n.cluster.publications())
}

func removeLink(name string) error {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return fmt.Errorf("find %s: %w", name, err)
	}
	return netlink.LinkDel(link)
}
