package device_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"golang.zx2c4.com/wireguard/wgctrl/wgtypes"

	"github.com/signet-cni/signet/overlay"
	"github.com/signet-cni/signet/overlay/device"
	"github.com/signet-cni/signet/overlay/plan"
	"github.com/signet-cni/signet/overlay/wire"
)

var testConfig = plan.Config{
	Cluster:     overlay.ClusterID{0x51, 0xa2, 0xb3},
	ClusterCIDR: overlay.Ranges{V4: netip.MustParsePrefix("10.244.0.0/16"), V6: netip.MustParsePrefix("fd10:244::/48")},
	ServiceCIDR: overlay.Ranges{V4: netip.MustParsePrefix("10.96.0.0/12")},
	UnderlayMTU: 1500,
}

// member is a node that takes part in the overlay.
type member struct {
	*node
	key    wgtypes.Key
	public overlay.Node
	device *device.Device
}

// newCluster starts count nodes with a device each, not configured yet.
func newCluster(t *testing.T, count int) []*member {
	t.Helper()
	lab(t)
	var all []*member
	for i := range count {
		all = append(all, newMember(t, i))
	}
	return all
}

func newMember(t *testing.T, i int) *member {
	t.Helper()
	m := &member{node: newNode(t, i)}
	m.newKey()
	m.public = overlay.Node{
		Name: fmt.Sprintf("node-%d", i), PublicKey: m.key.PublicKey(),
		Endpoint:  netip.AddrPortFrom(m.address, overlay.DefaultPort),
		PodCIDRs:  []netip.Prefix{netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 244, byte(i), 0}), 24)},
		Addresses: []netip.Addr{m.address},
	}
	kind, err := m.openDevice()
	if err == nil && kind == device.Kernel {
		m.ensure()
		return m
	}
	m.startServer()
	m.ensure()
	return m
}

// openDevice creates the device if this kernel has WireGuard.
func (m *member) openDevice() (kind device.Kind, err error) {
	err = m.try(func() (err error) {
		kind, err = device.Open(overlay.DefaultDevice, 1420)
		return err
	})
	return kind, err
}

func (m *member) newKey() {
	m.t.Helper()
	key, err := wgtypes.GeneratePrivateKey()
	must(m.t, err)
	m.key, m.public.PublicKey = key, key.PublicKey()
}

// ensure finds the device as the agent does when it starts.
func (m *member) ensure() {
	m.t.Helper()
	m.do(func() (err error) {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		m.device, err = device.Ensure(ctx, overlay.DefaultDevice, 1420)
		return err
	})
}

// desired plans for this node among others.
func (m *member) desired(others ...*member) device.Desired {
	m.t.Helper()
	nodes := []overlay.Node{m.public}
	for _, o := range others {
		nodes = append(nodes, o.public)
	}
	p, err := plan.Compute(m.public, nodes, testConfig)
	must(m.t, err)
	if len(p.Refused) > 0 {
		m.t.Fatal(p.Refused)
	}
	return device.Desired{
		PrivateKey: m.key, ListenPort: overlay.DefaultPort, MTU: p.MTU.Device,
		Address: p.Address, Address6: p.Address6, Peers: p.Peers, Routes: p.Routes,
	}
}

func (m *member) configure(others ...*member) device.Changes {
	m.t.Helper()
	want := m.desired(others...)
	var changes device.Changes
	m.do(func() (err error) {
		changes, err = m.device.Configure(want)
		return err
	})
	return changes
}

func (m *member) status() (s device.Status) {
	m.t.Helper()
	m.do(func() (err error) {
		s, err = m.device.Status()
		return err
	})
	return s
}

func (m *member) peer(other *member) device.PeerStatus {
	m.t.Helper()
	for _, p := range m.status().Peers {
		if p.PublicKey == other.public.PublicKey {
			return p
		}
	}
	m.t.Fatalf("%s does not know %s", m.public.Name, other.public.Name)
	return device.PeerStatus{}
}

// tap opens a packet socket on one of the node's devices.
func (m *member) tap(name string, protocol uint16) *tap {
	m.t.Helper()
	var p *tap
	m.do(func() (err error) {
		p, err = openTap(name, protocol)
		return err
	})
	m.t.Cleanup(p.close)
	return p
}

func (m *member) prefix() netip.Prefix {
	p, err := overlay.Prefix(testConfig.Cluster, m.public.PodCIDRs[0])
	must(m.t, err)
	return p
}

func (m *member) pod() netip.Addr { return m.public.PodCIDRs[0].Addr().Next() }

// sealed builds the tunnel packet of a pod of m to a pod of to, with a number
// to know it by.
func (m *member) sealed(to *member, number uint32, filler string) []byte {
	m.t.Helper()
	payload := append(binary.BigEndian.AppendUint32(nil, number), filler...)
	packet, err := wire.Encode(udp4(m.pod(), to.pod(), payload), wire.Route{From: m.prefix(), To: to.prefix(), Identity: 4711})
	must(m.t, err)
	return packet
}

// numberOf reads the number back, and false for any other packet.
func numberOf(packet []byte) (uint32, bool) {
	ipv4, tag, err := wire.Decode(packet)
	if err != nil || tag.Identity != 4711 || len(ipv4) < 32 {
		return 0, false
	}
	return binary.BigEndian.Uint32(ipv4[28:]), true
}

// reach sends numbered packets until the first arrives: a handshake takes its
// time.
func reach(t *testing.T, from, to *member) {
	t.Helper()
	out, in := from.tap(overlay.DefaultDevice, ethIPv6), to.tap(overlay.DefaultDevice, ethIPv6)
	eventually(t, 10*time.Second, fmt.Sprintf("%s reaches %s", from.public.Name, to.public.Name), func() bool {
		must(t, out.send(from.sealed(to, 1, "")))
		f, ok := in.receive(time.Now().Add(200 * time.Millisecond))
		if !ok || f.outgoing {
			return false
		}
		_, ok = numberOf(f.packet)
		return ok
	})
}
