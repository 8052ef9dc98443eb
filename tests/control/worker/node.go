// Package worker is a node of the control plane that tests/control has
// started: its agent, WireGuard device and CNI plugin are the real ones; its
// containers are network namespaces in which nothing runs. It wants network and
// mount namespaces of its own.
package worker

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
	"k8s.io/client-go/kubernetes"

	"github.com/signet-cni/signet/cni"
)

// Config of a Node. All fields are required.
type Config struct {
	Name     string               // of the Node object, which exists
	Underlay netip.Prefix         // the node's address there
	Core     kubernetes.Interface // an administrator's
	Commands string               // directory of the commands
	Settings string               // the agent's configuration, YAML
}

// Node is where an agent runs and pods are attached.
type Node struct {
	cfg       Config
	dir       string
	wireGuard *Process
}

// New makes an underlay that ends here, a BPF file system and files, and
// starts what outlives an agent.
func New(ctx context.Context, cfg Config) (*Node, error) {
	dir, err := os.MkdirTemp("", "signet-worker-")
	if err != nil {
		return nil, err
	}
	n := &Node{cfg: cfg, dir: dir}
	if n.cfg.Commands, err = filepath.Abs(cfg.Commands); err == nil {
		err = n.prepare(ctx)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("make node %s (in namespaces of its own?): %w", cfg.Name, err), n.Close())
	}
	return n, nil
}

func (n *Node) prepare(ctx context.Context) error {
	if err := errors.Join(n.mounts(), n.underlay()); err != nil {
		return err
	}
	if err := n.Kubeconfig(ctx, "signet", "agent.kubeconfig"); err != nil {
		return err
	}
	if err := os.WriteFile(n.Path("config.yaml"), []byte(n.cfg.Settings), 0o600); err != nil {
		return err
	}
	var err error
	n.wireGuard, err = n.Start("signet-wg")
	return err
}

// Path of a file of the node's.
func (n *Node) Path(name string) string { return filepath.Join(n.dir, name) }

// WireGuard is the process that serves the device; it has ended where the
// kernel does.
func (n *Node) WireGuard() *Process { return n.wireGuard }

func (n *Node) mounts() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return err
	}
	if err := unix.Mount("tmpfs", n.dir, "tmpfs", 0, "mode=0700"); err != nil { // as /run is on a node
		return err
	}
	if err := errors.Join(os.Mkdir(n.Path("bpf"), 0o700), os.Mkdir(n.Path("net.d"), 0o700), os.Mkdir(n.Path("netns"), 0o700),
		os.MkdirAll("/var/run/wireguard", 0o700)); err != nil {
		return err
	}
	return errors.Join(
		unix.Mount("tmpfs", "/var/run/wireguard", "tmpfs", 0, "mode=0700"),
		unix.Mount("bpf", n.Path("bpf"), "bpf", 0, ""))
}

// router is the next hop to all of the underlay.
var router = net.IPv4(169, 254, 1, 1)

// underlay is a device behind which nobody answers: the other nodes' addresses
// lie there, behind a router. If they were on the link, each would take an entry
// of the neighbour table, which all network namespaces of a machine share.
func (n *Node) underlay() error {
	link := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "eth0", MTU: 1500}, PeerName: "nobody"}
	if err := netlink.LinkAdd(link); err != nil {
		return err
	}
	peer, err := netlink.LinkByName(link.PeerName)
	if err != nil {
		return err
	}
	own, all := n.cfg.Underlay.Addr(), n.cfg.Underlay.Masked()
	addr := &netlink.Addr{IPNet: netlink.NewIPNet(own.AsSlice())}
	if err := errors.Join(netlink.LinkSetUp(peer), netlink.LinkSetUp(link), netlink.AddrAdd(link, addr)); err != nil {
		return err
	}
	return errors.Join(
		netlink.NeighAdd(&netlink.Neigh{
			LinkIndex: link.Index, IP: router, HardwareAddr: peer.Attrs().HardwareAddr, State: netlink.NUD_PERMANENT,
		}),
		netlink.RouteAdd(&netlink.Route{
			LinkIndex: link.Index, Gw: router, Flags: int(netlink.FLAG_ONLINK),
			Dst: &net.IPNet{IP: all.Addr().AsSlice(), Mask: net.CIDRMask(all.Bits(), all.Addr().BitLen())},
		}))
}

// Close ends what New started, and removes all files.
func (n *Node) Close() error {
	if n.wireGuard != nil {
		n.wireGuard.Stop()
	}
	mounts, err := filepath.Glob(n.Path("netns/*"))
	for _, mount := range append(mounts, n.Path("bpf"), n.dir) {
		_ = unix.Unmount(mount, unix.MNT_DETACH) // not mounted, perhaps
	}
	return errors.Join(err, os.RemoveAll(n.dir))
}

// StartAgent starts the agent as on a node that has just booted, waits until it
// takes pods, and gives how long that took.
func (n *Node) StartAgent(ctx context.Context) (*Process, time.Duration, error) {
	for _, dir := range []string{n.Path("run"), n.Path("bpf/signet"), n.Path("net.d")} {
		if err := os.RemoveAll(dir); err != nil {
			return nil, 0, err
		}
	}
	if err := os.Mkdir(n.Path("net.d"), 0o700); err != nil {
		return nil, 0, err
	}
	began := time.Now()
	p, err := n.Start("signet-agent", "--config", n.Path("config.yaml"), "--kubeconfig", n.Path("agent.kubeconfig"),
		"--node-name", n.cfg.Name, "--run-dir", n.Path("run"), "--key", n.Path("key"), "--bpf-dir", n.Path("bpf/signet"),
		"--cni-conf-dir", n.Path("net.d"))
	if err != nil {
		return nil, 0, err
	}
	for {
		_, err := os.Stat(filepath.Join(n.Path("net.d"), cni.ConflistName))
		if err == nil {
			return p, time.Since(began), nil
		}
		if !errors.Is(err, fs.ErrNotExist) || ctx.Err() != nil || p.Ended() {
			p.Stop()
			return nil, 0, errors.Join(fmt.Errorf("the agent does not become ready: %s", p.Said()), err, ctx.Err())
		}
		time.Sleep(10 * time.Millisecond)
	}
}
