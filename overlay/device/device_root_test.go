package device_test

import (
	"bytes"
	"context"
	"errors"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/signet-cni/signet/overlay"
	"github.com/signet-cni/signet/overlay/device"
)

const (
	ethAll  = unix.ETH_P_ALL
	ethIPv6 = unix.ETH_P_IPV6
)

func TestTrafficIsEncrypted(t *testing.T) {
	nodes := newCluster(t, 2)
	a, b := nodes[0], nodes[1]
	underlay := a.tap("eth0", ethAll)
	if changes := a.configure(b); !changes.PrivateKey || len(changes.Added) != 1 {
		t.Errorf("first Configure changed %+v", changes)
	}
	b.configure(a)
	reach(t, a, b)
	reach(t, b, a)

	const marker = "marker-that-nobody-may-read"
	out, in := a.tap(overlay.DefaultDevice, ethIPv6), b.tap(overlay.DefaultDevice, ethIPv6)
	want := a.sealed(b, 7, marker)
	must(t, out.send(want))
	f, ok := in.receive(time.Now().Add(2 * time.Second))
	if !ok || !bytes.Equal(f.packet, want) {
		t.Errorf("got %x, want %x", f.packet, want)
	}
	seen := 0
	for {
		f, ok := underlay.receive(time.Now().Add(200 * time.Millisecond))
		if !ok {
			break
		}
		seen++
		if !wireGuard(f.packet) || bytes.Contains(f.packet, []byte(marker)) {
			t.Errorf("plaintext on the underlay: %x", f.packet)
		}
	}
	if seen < 4 {
		t.Errorf("the capture saw only %d packets", seen)
	}
	if p := a.peer(b); p.LastHandshake.IsZero() || p.Sent == 0 || p.Received == 0 || p.Endpoint != b.public.Endpoint {
		t.Errorf("status %+v", p)
	}
}

// wireGuard reports whether an underlay packet is IPv4 UDP of the tunnel's
// port, or ARP.
func wireGuard(p []byte) bool {
	if len(p) == 28 && bytes.Equal(p[:4], []byte{0, 1, 8, 0}) {
		return true // ARP, Ethernet and IPv4
	}
	port := []byte{overlay.DefaultPort >> 8, overlay.DefaultPort & 0xff}
	return len(p) > 28 && p[0] == 0x45 && p[9] == 17 && bytes.Equal(p[20:22], port) && bytes.Equal(p[22:24], port)
}

func TestConfigureIsIdempotent(t *testing.T) {
	nodes := newCluster(t, 2)
	a, b := nodes[0], nodes[1]
	a.configure(b)
	if changes := a.configure(b); !changes.Empty() {
		t.Errorf("the second Configure changed %+v", changes)
	}
	a.ensure() // a new agent
	if changes := a.configure(b); !changes.Empty() {
		t.Errorf("a new agent changed %+v", changes)
	}
	s := a.status()
	if !s.Up || s.MTU != 1420 || s.ListenPort != overlay.DefaultPort || s.PublicKey != a.public.PublicKey || len(s.Peers) != 1 {
		t.Errorf("status %+v", s)
	}
	a.do(func() error {
		for path, want := range map[string]string{"ipv4/conf/signet0/rp_filter": "2", "ipv6/conf/signet0/disable_ipv6": "1"} {
			if got, err := os.ReadFile("/proc/sys/net/" + path); err != nil || strings.TrimSpace(string(got)) != want {
				t.Errorf("%s is %q, %v, want %s", path, got, err, want)
			}
		}
		if mtu, err := underlayMTU(a.address); err != nil || mtu != 1500 {
			t.Errorf("underlay MTU %d, %v", mtu, err)
		}
		if mtu, err := underlayMTU(netip.MustParseAddr("203.0.113.1")); err == nil {
			t.Errorf("underlay MTU of nobody's address: %d", mtu)
		}
		return nil
	})
}

// TestPeersChangeByDifference lets one pair of nodes exchange numbered packets
// while a third node comes, changes its key and goes.
func TestPeersChangeByDifference(t *testing.T) {
	nodes := newCluster(t, 3)
	a, b, c := nodes[0], nodes[1], nodes[2]
	a.configure(b)
	b.configure(a)
	reach(t, a, b)
	before := a.peer(b)

	out, in := a.tap(overlay.DefaultDevice, ethIPv6), b.tap(overlay.DefaultDevice, ethIPv6)
	const count = 600
	sent, received := make(chan error, 1), make(chan int, 1)
	go func() { sent <- sendAll(out, a, b, count) }()
	go func() { received <- countReceived(in, count) }()

	c.configure(a)
	if got := a.configure(b, c); len(got.Added) != 1 || got.Added[0] != c.public.PublicKey || len(got.Updated)+len(got.Removed) != 0 {
		t.Errorf("adding changed %+v", got)
	}
	reach(t, c, a)
	old := c.public.PublicKey
	c.newKey()
	c.configure(a)
	if got := a.configure(b, c); len(got.Added) != 1 || len(got.Removed) != 1 || got.Removed[0] != old {
		t.Errorf("a new key changed %+v", got)
	}
	reach(t, c, a)
	c.public.Endpoint = netip.AddrPortFrom(c.address, 51999)
	if got := a.configure(b, c); len(got.Updated) != 1 || len(got.Added)+len(got.Removed) != 0 {
		t.Errorf("a new endpoint changed %+v", got)
	}
	if got := a.configure(b); len(got.Removed) != 1 || len(got.Added)+len(got.Updated) != 0 {
		t.Errorf("removing changed %+v", got)
	}

	must(t, <-sent)
	if got := <-received; got != count {
		t.Errorf("%d of %d packets arrived while other peers changed", got, count)
	}
	if after := a.peer(b); !after.LastHandshake.Equal(before.LastHandshake) {
		t.Errorf("the session was renewed: %s, %s", before.LastHandshake, after.LastHandshake)
	}
}

func sendAll(out *tap, from, to *member, count uint32) error {
	for i := range count {
		if err := out.send(from.sealed(to, i, "")); err != nil {
			return err
		}
		time.Sleep(2 * time.Millisecond)
	}
	return nil
}

// countReceived counts different numbers below limit until it has them all, or
// silence that is longer than any pause of a busy machine.
func countReceived(in *tap, limit uint32) int {
	seen := map[uint32]bool{}
	for len(seen) < int(limit) {
		f, ok := in.receive(time.Now().Add(10 * time.Second))
		if !ok {
			break
		}
		if n, ok := numberOf(f.packet); ok && !f.outgoing && n < limit {
			seen[n] = true
		}
	}
	return len(seen)
}

// TestForeignSourceIsDropped sends from a's authenticated session with the
// prefix of c: cryptokey routing is what the identity in the address rests on.
func TestForeignSourceIsDropped(t *testing.T) {
	nodes := newCluster(t, 3)
	a, b, c := nodes[0], nodes[1], nodes[2]
	a.configure(b, c)
	b.configure(a, c)
	reach(t, a, b)
	out, in := a.tap(overlay.DefaultDevice, ethIPv6), b.tap(overlay.DefaultDevice, ethIPv6)
	must(t, out.send(c.sealed(b, 100, "")))
	must(t, out.send(a.sealed(b, 101, "")))
	for {
		f, ok := in.receive(time.Now().Add(500 * time.Millisecond))
		if !ok {
			t.Fatal("the honest packet did not arrive")
		}
		switch n, _ := numberOf(f.packet); n {
		case 100:
			t.Fatal("a packet with another node's prefix arrived")
		case 101:
			return
		}
	}
}

// TestRemovedDevice: whoever deletes the device leaves the range refused, and
// Restore brings it back under its old index; where signet-wg serves it, that
// makes it.
func TestRemovedDevice(t *testing.T) {
	a := newCluster(t, 1)[0]
	a.configure()
	index := a.device.Index()
	want := a.desired()
	a.do(func() error {
		link, err := netlink.LinkByName(overlay.DefaultDevice)
		if err != nil {
			return err
		}
		if err := netlink.LinkDel(link); err != nil {
			return err
		}
		if got := routeTo(netip.MustParseAddr("10.244.9.9")); got != "no route to host" {
			t.Errorf("without the device the route is %s", got)
		}
		if a.device.Kind() == device.Kernel {
			if _, err := a.device.Configure(want); !errors.Is(err, device.ErrNoDevice) {
				t.Errorf("Configure: got %v, want %v", err, device.ErrNoDevice)
			}
		}
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		return a.device.Restore(ctx, 1420)
	})
	a.configure()
	if s := a.status(); !s.Up || s.Index != index || a.device.Index() != index {
		t.Errorf("status %+v, want index %d", s, index)
	}
}

// TestRestoreRefusesAnotherIndex: the datapath knows the device by its index.
func TestRestoreRefusesAnotherIndex(t *testing.T) {
	a := newCluster(t, 1)[0]
	a.do(func() error {
		link, err := netlink.LinkByName(overlay.DefaultDevice)
		if err != nil {
			return err
		}
		if err := netlink.LinkSetName(link, "elsewhere"); err != nil {
			return err
		}
		attrs := netlink.LinkAttrs{Name: overlay.DefaultDevice}
		stranger := netlink.Link(&netlink.Tuntap{LinkAttrs: attrs, Mode: netlink.TUNTAP_MODE_TUN, Queues: 1})
		if a.device.Kind() == device.Kernel {
			stranger = &netlink.Wireguard{LinkAttrs: attrs}
		}
		if err := netlink.LinkAdd(stranger); err != nil {
			return err
		}
		ctx, cancel := context.WithTimeout(context.Background(), 500*time.Millisecond)
		defer cancel()
		if err := a.device.Restore(ctx, 1420); err == nil || a.device.Kind() == device.Kernel && !errors.Is(err, device.ErrOtherIndex) {
			t.Errorf("got %v", err)
		}
		return nil
	})
}

func TestEnsureRefuses(t *testing.T) {
	lab(t)
	n := newNode(t, 0)
	n.do(func() error {
		ctx, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
		defer cancel()
		if _, err := device.Ensure(ctx, "../x", 1420); err == nil {
			t.Error("a path is accepted as a device name")
		}
		if _, err := device.Ensure(ctx, "eth0", 1420); err == nil || !strings.Contains(err.Error(), "neither WireGuard nor TUN") {
			t.Errorf("device of another type: got %v", err)
		}
		kind, err := device.Open(overlay.DefaultDevice, 1420)
		if err == nil && kind == device.Kernel {
			return nil
		}
		if !errors.Is(err, device.ErrNoKernel) {
			t.Errorf("Open: got %v, want %v", err, device.ErrNoKernel)
		}
		if _, err := device.Ensure(ctx, overlay.DefaultDevice, 1420); err == nil || !strings.Contains(err.Error(), "signet-wg is not running") {
			t.Errorf("without signet-wg: got %v", err)
		}
		return nil
	})
}

func TestConfigureRefuses(t *testing.T) {
	a := newCluster(t, 2)[0]
	good := a.desired()
	good.Peers = []overlay.Peer{{
		Name: "b", PublicKey: [32]byte{1}, Endpoint: netip.MustParseAddrPort("192.0.2.11:51872"),
		AllowedIPs: []netip.Prefix{netip.MustParsePrefix("fd51:a2b3:af4:100::/64")},
	}}
	for name, change := range map[string]func(*device.Desired){
		"no key":         func(d *device.Desired) { d.PrivateKey = [32]byte{} },
		"no port":        func(d *device.Desired) { d.ListenPort = 0 },
		"no address":     func(d *device.Desired) { d.Address = netip.Addr{} },
		"IPv6 address":   func(d *device.Desired) { d.Address = netip.IPv6Loopback() },
		"own key":        func(d *device.Desired) { d.Peers[0].PublicKey = a.public.PublicKey },
		"no peer key":    func(d *device.Desired) { d.Peers[0].PublicKey = [32]byte{} },
		"duplicate peer": func(d *device.Desired) { d.Peers = append(d.Peers, d.Peers[0]) },
		"shared prefix": func(d *device.Desired) {
			d.Peers = append(d.Peers, d.Peers[0])
			d.Peers[1].PublicKey = [32]byte{2}
		},
		"no prefix":   func(d *device.Desired) { d.Peers[0].AllowedIPs = nil },
		"no endpoint": func(d *device.Desired) { d.Peers[0].Endpoint = netip.AddrPort{} },
	} {
		bad := good
		bad.Peers = append([]overlay.Peer(nil), good.Peers...)
		change(&bad)
		var changes device.Changes
		if err := a.try(func() (err error) { changes, err = a.device.Configure(bad); return err }); err == nil || !changes.Empty() {
			t.Errorf("%s: got %v after %+v", name, err, changes)
		}
	}
}

func underlayMTU(address netip.Addr) (int, error) {
	u, err := device.FindUnderlay(address, nil, overlay.DefaultDevice)
	return u.MTU, err
}
