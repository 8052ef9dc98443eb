package harness

import (
	"fmt"
	"net/netip"

	"github.com/vishvananda/netlink"

	"golang.zx2c4.com/wireguard/wgctrl/wgtypes"

	"github.com/signet-cni/signet/overlay"
	"github.com/signet-cni/signet/overlay/device"
)

// BarePair gives two more machines on the cluster's underlay that know nothing
// of Signet: a WireGuard device of the same kind each, the kernel's or
// wireguard-go's, and an address behind it. It is what Signet is measured
// against.
func (c *Cluster) BarePair() (a, b *Host) {
	c.t.Helper()
	var ends [2]*wireGuard
	var keys [2]wgtypes.Key
	for i := range ends {
		n := newNamespace(c.t, fmt.Sprintf("bare%d", i))
		c.must(n.plug(n.name, c.options.UnderlayMTU, bareUnderlay(i)))
		w, err := newPlainWireGuard(n)
		c.must(err)
		ends[i] = w
		keys[i], err = wgtypes.GeneratePrivateKey()
		c.must(err)
	}
	for i, w := range ends {
		other := 1 - i
		behind := netip.PrefixFrom(bareAddr(other), 32)
		c.must(w.bare(keys[i], device.Desired{
			MTU: c.Nodes[0].Plan.MTU.Device, Address: bareAddr(i),
			Peers: []overlay.Peer{{
				Name: ends[other].name, PublicKey: keys[other].PublicKey(),
				Endpoint:   netip.AddrPortFrom(bareUnderlay(other), overlay.DefaultPort),
				AllowedIPs: []netip.Prefix{behind},
			}},
			Routes: []overlay.Route{{Destination: behind, Source: bareAddr(i)}},
		}))
	}
	return &Host{Namespace: ends[0].Namespace, Addr: bareAddr(0)}, &Host{Namespace: ends[1].Namespace, Addr: bareAddr(1)}
}

func bareUnderlay(i int) netip.Addr { return netip.AddrFrom4([4]byte{192, 0, 2, byte(200 + i)}) }

func bareAddr(i int) netip.Addr { return netip.AddrFrom4([4]byte{10, 99, 0, byte(1 + i)}) }

// VXLANPair gives the ends of a VXLAN between two machines that a WireGuard
// device joins: what networks do that carry an identity as the VNI.
func (c *Cluster) VXLANPair(a, b *Host) (va, vb *Host) {
	c.t.Helper()
	join := func(self, other *Host, addr netip.Addr) *Host {
		c.must(self.Try(func() error { return addVXLAN(self.Addr, other.Addr, addr) }))
		return &Host{Namespace: self.Namespace, Addr: addr}
	}
	return join(a, b, vxlanAddr(0)), join(b, a, vxlanAddr(1))
}

func vxlanAddr(i int) netip.Addr { return netip.AddrFrom4([4]byte{10, 98, 0, byte(1 + i)}) }

// Of the VXLAN: RFC 7348 sections 4 and 5.
const (
	vxlanPort     = 4789
	vxlanOverhead = 50 // bytes: IPv4 20, UDP 8, VXLAN 8, Ethernet 14
	vxlanVNI      = 0x51a2
)

// addVXLAN makes a device with an address in the caller's namespace.
func addVXLAN(local, remote, addr netip.Addr) error {
	under, err := netlink.LinkByName(overlay.DefaultDevice)
	if err != nil {
		return fmt.Errorf("find %s: %w", overlay.DefaultDevice, err)
	}
	const name = "vxlan0"
	err = netlink.LinkAdd(&netlink.Vxlan{
		LinkAttrs: netlink.LinkAttrs{Name: name, MTU: under.Attrs().MTU - vxlanOverhead},
		VxlanId:   vxlanVNI, SrcAddr: local.AsSlice(), Group: remote.AsSlice(), Port: vxlanPort, VtepDevIndex: under.Attrs().Index,
	})
	if err != nil {
		return fmt.Errorf("create %s: %w", name, err)
	}
	if err := linkUp(name); err != nil {
		return err
	}
	if err := addAddress(name, addr); err != nil {
		return err
	}
	return addRoute(name, ipNet("10.98.0.0/24"), netip.Addr{})
}

// RoutedPair gives two namespaces that a router joins by a veth pair each: the
// way between two pods of one node without any network policy.
func (c *Cluster) RoutedPair() (a, b *Host, router *Namespace) {
	c.t.Helper()
	router = newNamespace(c.t, "router")
	c.must(router.Try(prepareRouter))
	ends := [2]*Host{}
	for i := range ends {
		n := newNamespace(c.t, fmt.Sprintf("routed%d", i))
		addr := netip.AddrFrom4([4]byte{10, 97, 0, byte(2 + i)})
		c.must(router.Try(func() error { return n.plug(n.name, c.Nodes[0].Plan.MTU.Pods, addr) }))
		ends[i] = &Host{Namespace: n, Addr: addr}
	}
	return ends[0], ends[1], router
}
