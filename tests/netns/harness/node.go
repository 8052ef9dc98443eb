package harness

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/signet-cni/signet/cni"
	"github.com/signet-cni/signet/enforce/datapath"
	"github.com/signet-cni/signet/internal/guard"
	"github.com/signet-cni/signet/internal/locations"
	"github.com/signet-cni/signet/internal/masquerade"
	"github.com/signet-cni/signet/overlay"
	"github.com/signet-cni/signet/overlay/plan"
	"github.com/signet-cni/signet/overlay/tunnel"
)

// Host is something that traffic can start or end at.
type Host struct {
	*Namespace
	Addr  netip.Addr // traffic's source and destination
	Addr6 netip.Addr // the other one, of IPv6; see IPv6
}

// IPv6 is the host as traffic in IPv6 knows it.
func (h *Host) IPv6() *Host { return &Host{Namespace: h.Namespace, Addr: h.Addr6} }

// Node is one node: what the kernel, signet-wg and the agent make up.
type Node struct {
	Host
	Datapath *datapath.Datapath
	Plan     plan.Result // in force
	PodCIDR  netip.Prefix
	PodCIDR6 netip.Prefix
	// Uplink is the router's side of the node's underlay link.
	Uplink string

	own     []netip.Addr // on the underlay
	cluster *Cluster
	dir     string
	public  overlay.Node
	wg      *wireGuard
	keys    *tunnel.Keys
	tunnel  *tunnel.Tunnel
	lately  locations.Memory
	cni     *cniSide
}

var clusterRanges = overlay.Ranges{V4: ClusterRange, V6: ClusterRange6}

// podRange is what the i-th node, from 1 on, has for its pods.
func (c *Cluster) podRange(i int) netip.Prefix {
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 244, byte(i), 0}), c.options.PodBits)
}

// boot starts the next machine: it forwards packets, and that is all.
func (c *Cluster) boot(pods netip.Prefix) *Node {
	c.t.Helper()
	i := len(c.machines) + 1
	name := fmt.Sprintf("node%d", i)
	base6 := ClusterRange6.Addr().As16()
	base6[7] = pods.Addr().As4()[2]
	own := c.options.Underlay.pick(
		netip.AddrFrom4([4]byte{192, 0, 2, byte(10 + i)}), netip.AddrFrom16([16]byte{0x20, 0x01, 0x0d, 0xb8, 15: byte(10 + i)}))
	n := &Node{
		PodCIDR: pods, PodCIDR6: netip.PrefixFrom(netip.AddrFrom16(base6), 64),
		Uplink: name, own: own, cluster: c, dir: filepath.Join(c.dir, name),
	}
	n.Addr = own[0]
	c.must(n.makeDirs())
	n.Namespace = newNamespace(c.t, name)
	c.must(n.plug(name, c.options.UnderlayMTU, own...))
	c.must(n.Try(prepareRouter))
	c.machines = append(c.machines, n)
	return n
}

// start makes it a node that knows of no other.
func (n *Node) start() {
	n.t.Helper()
	c := n.cluster
	var err error
	n.wg, err = newWireGuard(n.Namespace)
	c.must(err)
	c.must(n.OpenTunnel())
	c.must(n.plan(nil))
	n.Addr, n.Addr6 = n.Plan.Address, n.Plan.Address6
	n.OpenDatapath()
	c.must(n.Try(n.setTables))
	n.SetForwards()
	n.cni = newCNISide(n)
	c.Nodes = append(c.Nodes, n)
}

// guard is the same on every node.
func (o Options) guard() guard.Config {
	return guard.Config{
		Pods: o.ranges().List(), Covered: guard.Devices(cni.HostIfPrefix),
		Ports: guard.Ports(overlay.DefaultPort), Tunnel: clusterID.Range(),
	}
}

// setTables writes Signet's nftables tables, as the agent does.
func (n *Node) setTables() error {
	return errors.Join(
		guard.Set(n.cluster.options.guard()),
		masquerade.Set(masquerade.Rules{
			Pods: n.Plan.Pods.List(), Cluster: n.cluster.options.ranges().List(), Overlay: overlay.DefaultDevice, Untracked: datapath.MarkUntracked,
		}))
}

// makeDirs comes before the namespace, which then shares the BPF file system.
func (n *Node) makeDirs() error {
	bpf := n.bpfDir()
	if err := os.MkdirAll(bpf, 0o700); err != nil {
		return err
	}
	if err := unix.Mount("bpf", bpf, "bpf", 0, ""); err != nil {
		return fmt.Errorf("mount %s: %w", bpf, err)
	}
	n.cluster.t.Cleanup(func() { _ = unix.Unmount(bpf, unix.MNT_DETACH) }) // its pins go with it
	return nil
}

func (n *Node) bpfDir() string { return filepath.Join(n.dir, "bpf") }

// publish fills in what the other nodes learn of this one.
func (n *Node) publish() {
	first, second, keyed := n.keys.Public()
	n.public = overlay.Node{
		Name: n.name, PublicKey: first, Keyed: keyed,
		Detour:    overlay.Detour{PublicKey: second, Active: n.tunnel.PrefersDetour()},
		Endpoint:  netip.AddrPortFrom(n.own[0], overlay.DefaultPort),
		PodCIDRs:  []netip.Prefix{n.PodCIDR, n.PodCIDR6},
		Addresses: n.own,
	}
}

// plan computes and remembers; it touches nothing.
func (n *Node) plan(others []overlay.Node) error {
	result, err := plan.Compute(n.public, others, plan.Config{
		Cluster: clusterID, ClusterCIDR: n.cluster.options.ranges(), ServiceCIDR: overlay.Ranges{V4: ServiceRange, V6: ServiceRange6},
		UnderlayMTU: n.cluster.options.UnderlayMTU, Accepted: n.Plan.Accepted, Joining: n.cluster.joining,
	})
	if err != nil {
		return fmt.Errorf("plan: %w", err)
	}
	if len(result.Refused) > 0 {
		return fmt.Errorf("plan refuses %v", result.Refused)
	}
	n.Plan = result
	return nil
}

// sync plans for these nodes and puts the plan in force, as the agent does.
func (n *Node) sync(nodes []overlay.Node) error {
	if err := n.plan(nodes); err != nil {
		return err
	}
	if err := n.configure(); err != nil {
		return err
	}
	table := locations.Of(n.Plan)
	n.lately.Close(table, time.Now())
	_, err := n.Datapath.SetLocations(table)
	return err
}

func (n *Node) configure() error {
	return n.Try(func() error {
		_, err := n.tunnel.Apply(tunnel.Wanted{
			MTU: n.Plan.MTU.Device, Address: n.Plan.Address, Address6: n.Plan.Address6, Peers: n.Plan.Peers, Routes: n.Plan.Routes,
		})
		return err
	})
}

// Prefix is the node's tunnel /64.
func (n *Node) Prefix() netip.Prefix { return n.Plan.Prefix }

// ClaimPrefix makes the node's WireGuard device seal packets for a foreign
// prefix to a peer, as whoever has taken over the node could.
func (n *Node) ClaimPrefix(peer *Node, prefix netip.Prefix) error {
	for i, p := range n.Plan.Peers {
		n.Plan.Peers[i].AllowedIPs = slices.DeleteFunc(p.AllowedIPs, func(a netip.Prefix) bool { return a == prefix })
		if p.Name == peer.name {
			n.Plan.Peers[i].AllowedIPs = append(n.Plan.Peers[i].AllowedIPs, prefix)
		}
	}
	n.Plan.Peers = slices.DeleteFunc(n.Plan.Peers, func(p overlay.Peer) bool { return len(p.AllowedIPs) == 0 })
	return n.configure()
}

// SyncWith plans for these nodes only, whatever the cluster has.
func (n *Node) SyncWith(others ...*Node) error {
	var nodes []overlay.Node
	for _, o := range others {
		nodes = append(nodes, o.public)
	}
	return n.sync(nodes)
}
