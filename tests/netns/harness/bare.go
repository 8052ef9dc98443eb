package harness

import (
	"fmt"
	"net/netip"

	"github.com/signet-cni/signet/overlay"
	"github.com/signet-cni/signet/overlay/device"
)

// BarePair gives two more machines on the cluster's underlay that know nothing
// of Signet: a WireGuard device of the same kind each, and an address behind
// it. It is what Signet is measured against.
func (c *Cluster) BarePair() (a, b *Host) {
	c.t.Helper()
	var ends [2]*wireGuard
	for i := range ends {
		n := newNamespace(c.t, fmt.Sprintf("bare%d", i))
		c.must(n.plug(n.name, bareUnderlay(i), c.options.UnderlayMTU))
		w, err := newWireGuard(n)
		c.must(err)
		ends[i] = w
	}
	for i, w := range ends {
		other := 1 - i
		behind := netip.PrefixFrom(bareAddr(other), 32)
		c.must(w.configure(device.Desired{
			MTU: c.Nodes[0].Plan.MTU.Device, Address: bareAddr(i),
			Peers: []overlay.Peer{{
				Name: ends[other].name, PublicKey: ends[other].key.PublicKey(),
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
