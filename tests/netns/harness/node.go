package harness

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sys/unix"
	"golang.zx2c4.com/wireguard/wgctrl/wgtypes"

	"github.com/signet-cni/signet/enforce/datapath"
	"github.com/signet-cni/signet/internal/masquerade"
	"github.com/signet-cni/signet/overlay"
	"github.com/signet-cni/signet/overlay/device"
	"github.com/signet-cni/signet/overlay/plan"
)

// Host is something that traffic can start or end at.
type Host struct {
	*Namespace
	Addr netip.Addr
}

// Node is one node: what the kernel, signet-wg and the agent make up.
type Node struct {
	Host
	Datapath *datapath.Datapath
	Plan     plan.Result // in force
	PodCIDR  netip.Prefix
	// Uplink is the router's side of the node's underlay link.
	Uplink string

	cluster *Cluster
	dir     string
	key     wgtypes.Key
	public  overlay.Node
	device  *device.Device
	server  *exec.Cmd // nil with kernel WireGuard
	index   int       // of the WireGuard device
	cni     *cniSide
}

func (c *Cluster) newNode(i int) *Node {
	c.t.Helper()
	name := fmt.Sprintf("node%d", i)
	n := &Node{
		Host:    Host{Addr: netip.AddrFrom4([4]byte{192, 0, 2, byte(10 + i)})},
		PodCIDR: netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 244, byte(i), 0}), c.options.PodBits),
		Uplink:  name, cluster: c, dir: filepath.Join(c.dir, name),
	}
	c.must(n.makeDirs())
	n.Namespace = newNamespace(c.t, name)
	c.must(n.plug(name, n.Addr, c.options.UnderlayMTU))
	c.must(n.Try(prepareRouter))
	c.must(n.newIdentity())
	c.must(n.openDevice())
	c.must(n.plan(nil))
	n.OpenDatapath()
	c.must(n.Try(func() error {
		return masquerade.Set(masquerade.Rules{
			Pods: n.PodCIDR, Cluster: ClusterRange, Overlay: overlay.DefaultDevice, Untracked: datapath.MarkUntracked,
		})
	}))
	n.SetForwards()
	n.cni = newCNISide(n)
	return n
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

func (n *Node) newIdentity() error {
	key, err := wgtypes.GeneratePrivateKey()
	if err != nil {
		return err
	}
	n.key = key
	n.public = overlay.Node{
		Name: n.name, PublicKey: key.PublicKey(),
		Endpoint:  netip.AddrPortFrom(n.Addr, overlay.DefaultPort),
		PodCIDRs:  []netip.Prefix{n.PodCIDR},
		Addresses: []netip.Addr{n.Addr},
	}
	return nil
}

// openDevice makes the kernel's WireGuard device, or starts signet-wg where
// the kernel has none.
func (n *Node) openDevice() error {
	err := n.Try(func() error {
		_, err := device.Open(overlay.DefaultDevice, serverMTU)
		return err
	})
	if errors.Is(err, device.ErrNoKernel) {
		err = n.startServer()
	}
	if err != nil {
		return err
	}
	return n.ensureDevice()
}

// ensureDevice finds the device as the agent does when it starts.
func (n *Node) ensureDevice() error {
	return n.Try(func() (err error) {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		n.device, err = device.Ensure(ctx, overlay.DefaultDevice, serverMTU)
		if err != nil {
			return err
		}
		state, err := n.device.Status()
		n.index = state.Index
		return err
	})
}

// startServer starts signet-wg, which ends with the test at the latest.
func (n *Node) startServer() error {
	cmd := itself(roleServer)
	if err := n.onHolder(cmd.Start); err != nil {
		return fmt.Errorf("start signet-wg: %w", err)
	}
	n.server = cmd
	n.cluster.t.Cleanup(func() { stop(cmd) })
	return nil
}

func stop(cmd *exec.Cmd) {
	if cmd.ProcessState == nil {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}
}

// plan computes and remembers; it touches nothing.
func (n *Node) plan(others []overlay.Node) error {
	result, err := plan.Compute(n.public, others, plan.Config{
		Cluster: clusterID, ClusterCIDR: ClusterRange, ServiceCIDR: ServiceRange,
		UnderlayMTU: n.cluster.options.UnderlayMTU, Accepted: n.Plan.Accepted,
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
	_, err := n.Datapath.SetLocations(n.locations())
	return err
}

func (n *Node) configure() error {
	return n.Try(func() error {
		_, err := n.device.Configure(device.Desired{
			PrivateKey: n.key, ListenPort: overlay.DefaultPort, MTU: n.Plan.MTU.Device,
			Address: n.Plan.Address, Peers: n.Plan.Peers, Routes: n.Plan.Routes,
		})
		return err
	})
}

func (n *Node) locations() map[netip.Prefix]datapath.Location {
	kinds := map[overlay.Kind]datapath.LocationKind{
		overlay.RemotePods: datapath.RemotePods, overlay.RemoteNode: datapath.RemoteHost,
		overlay.LocalPods: datapath.LocalPods, overlay.LocalHost: datapath.LocalHost,
	}
	table := map[netip.Prefix]datapath.Location{ClusterRange: {Kind: datapath.ClusterPods}}
	for _, l := range n.Plan.Locations {
		table[l.Prefix] = datapath.Location{Kind: kinds[l.Kind], Prefix: netip.PrefixFrom(l.TunnelPrefix, 64)}
	}
	return table
}

// OpenDatapath loads the programs over what is pinned, and attaches them to
// the WireGuard device and to every pod: a start of the agent.
func (n *Node) OpenDatapath() {
	n.t.Helper()
	n.Do(func() error {
		dp, err := datapath.Open(datapath.Config{
			PinPath: filepath.Join(n.bpfDir(), "signet"), Prefix: n.Plan.Prefix,
			OverlayIfIndex: n.index, ForceClsact: n.cluster.options.ForceClsact,
		})
		if err != nil {
			return err
		}
		n.Datapath = dp
		n.t.Cleanup(func() { _ = dp.Close() }) // twice, perhaps
		err = dp.AttachOverlay(n.index)
		for _, ep := range dp.Endpoints() {
			err = errors.Join(err, dp.AttachPod(ep.IfIndex))
		}
		return err
	})
}

// CloseDatapath is the end of the agent: everything stays in force.
func (n *Node) CloseDatapath() {
	n.t.Helper()
	n.cluster.must(n.Datapath.Close())
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

// DropPeers makes the WireGuard device forget its peers; the datapath goes on
// sending to them.
func (n *Node) DropPeers() error {
	n.Plan.Peers = nil
	return n.configure()
}

// Userspace says whether signet-wg serves the node's device.
func (n *Node) Userspace() bool { return n.server != nil }

// KillServer ends signet-wg as a crash would.
func (n *Node) KillServer() { stop(n.server) }

// RestartServer starts signet-wg again and configures it.
func (n *Node) RestartServer() error {
	if err := n.startServer(); err != nil {
		return err
	}
	if err := n.ensureDevice(); err != nil {
		return err
	}
	return n.configure()
}
