package harness

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"golang.zx2c4.com/wireguard/wgctrl/wgtypes"

	"github.com/signet-cni/signet/overlay"
	"github.com/signet-cni/signet/overlay/device"
	"github.com/signet-cni/signet/overlay/tunnel"
)

// openTime is how long a server may take to have its devices.
const openTime = 10 * time.Second

// wireGuard is the WireGuard devices of one namespace.
type wireGuard struct {
	*Namespace
	first, second *device.Device
	server        *exec.Cmd // signet-wg, or wireguard-go; nil with kernel WireGuard
}

// newWireGuard makes the kernel's devices, or starts signet-wg where the kernel
// has none.
func newWireGuard(n *Namespace) (*wireGuard, error) {
	return makeWireGuard(n, roleServer, (*wireGuard).ensure)
}

// makeWireGuard makes the kernel's devices, or has a server of them started
// where the kernel has none, and then finds them.
func makeWireGuard(n *Namespace, role string, ensure func(*wireGuard) error) (*wireGuard, error) {
	w := &wireGuard{Namespace: n}
	kernel, err := w.hasKernel()
	if err == nil && !kernel {
		err = w.startServer(role)
	}
	if err == nil {
		err = ensure(w)
	}
	if err != nil {
		return nil, fmt.Errorf("WireGuard of %s: %w", n.name, err)
	}
	return w, nil
}

// hasKernel makes the kernel's first device if the kernel has WireGuard.
func (w *wireGuard) hasKernel() (bool, error) {
	err := w.Try(func() error {
		_, err := device.Open(overlay.DefaultDevice, serverMTU)
		return err
	})
	if errors.Is(err, device.ErrNoKernel) {
		return false, nil
	}
	return err == nil, err
}

// HasKernelWireGuard reports whether the nodes' devices are the kernel's.
func HasKernelWireGuard(t TB) bool {
	t.Helper()
	w := &wireGuard{Namespace: newNamespace(t, "trial")}
	kernel, err := w.hasKernel()
	if err != nil {
		t.Fatalf("WireGuard: %v", err)
	}
	return kernel
}

func (w *wireGuard) kind() device.Kind {
	if w.server != nil {
		return device.Userspace
	}
	return device.Kernel
}

// startServer starts signet-wg, or wireguard-go; it ends with the test at the
// latest.
func (w *wireGuard) startServer(role string) error {
	cmd := itself(role)
	if err := w.onHolder(cmd.Start); err != nil {
		return fmt.Errorf("start %s: %w", role, err)
	}
	w.server = cmd
	w.t.Cleanup(func() { stop(cmd) })
	return nil
}

func stop(cmd *exec.Cmd) {
	if cmd.ProcessState == nil {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}
}

// ensure finds the devices as the agent does when it starts.
func (w *wireGuard) ensure() error {
	return w.Try(func() (err error) {
		ctx, cancel := context.WithTimeout(context.Background(), openTime)
		defer cancel()
		w.first, w.second, err = tunnel.Open(ctx, serverMTU, overlay.DefaultPort)
		return err
	})
}

// bare gives the first device this configuration and nothing else.
func (w *wireGuard) bare(key wgtypes.Key, want device.Desired) error {
	want.PrivateKey, want.ListenPort = key, overlay.DefaultPort
	return w.Try(func() error {
		_, err := w.first.Configure(want)
		return err
	})
}

// OpenTunnel takes the devices over: the tunnel's part of an agent's start.
func (n *Node) OpenTunnel() error {
	keys, _, err := tunnel.LoadKeys(filepath.Join(n.dir, "keys", "wireguard.key"))
	if err != nil {
		return err
	}
	n.keys = keys
	n.tunnel = tunnel.New(tunnel.Config{
		Keys: keys, First: n.wg.first, Second: n.wg.second, Port: overlay.DefaultPort,
		Steering: steering{n}, Changed: n.cluster.poke, Now: time.Now,
		Log: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})),
	})
	n.publish()
	n.cluster.poke()
	return nil
}

// Userspace says whether signet-wg serves the node's devices.
func (n *Node) Userspace() bool { return n.wg.kind() == device.Userspace }

// KillServer ends signet-wg as a crash would.
func (n *Node) KillServer() { stop(n.wg.server) }

// StartServer starts signet-wg; it stands by while another runs.
func (n *Node) StartServer() error { return n.wg.startServer(roleServer) }

// RestartServer starts signet-wg again and configures it.
func (n *Node) RestartServer() error {
	if err := n.wg.startServer(roleServer); err != nil {
		return err
	}
	if err := n.wg.ensure(); err != nil {
		return err
	}
	return n.configure()
}

// ReplaceServer lets another signet-wg take over from the one that runs, as a
// roll-out does, and tells when that one ended.
func (n *Node) ReplaceServer() (ended time.Time, err error) {
	old := n.wg.server
	if err := n.wg.startServer(roleServer); err != nil {
		return ended, err
	}
	time.Sleep(200 * time.Millisecond) // it stands by
	ended = time.Now()
	stop(old)
	if err := n.wg.ensure(); err != nil {
		return ended, err
	}
	return ended, n.configure()
}

// MovePorts has the node's devices listen at other ports, as devices that are not
// configured do.
func (n *Node) MovePorts(first, second uint16) error {
	own, err := wgtypes.GeneratePrivateKey()
	if err != nil {
		return err
	}
	return n.Try(func() error {
		for _, move := range []struct {
			device *device.Device
			port   uint16
		}{{n.wg.first, first}, {n.wg.second, second}} {
			want := device.Desired{PrivateKey: own, ListenPort: move.port, MTU: serverMTU, Bare: true}
			if _, err := move.device.Configure(want); err != nil {
				return err
			}
		}
		return nil
	})
}

// DropPeers makes the WireGuard devices forget their peers; the datapath goes
// on sending to them.
func (n *Node) DropPeers() error {
	n.Plan.Peers = nil
	return n.configure()
}

// MistakePeers makes the WireGuard device take every peer for somebody else, at
// the same place and for the same addresses.
func (n *Node) MistakePeers() error {
	for i := range n.Plan.Peers {
		key, err := wgtypes.GeneratePrivateKey()
		if err != nil {
			return err
		}
		n.Plan.Peers[i].PublicKey = key.PublicKey()
	}
	return n.configure()
}

// WireGuard is the kind of the node's devices.
func (n *Node) WireGuard() string { return string(n.wg.kind()) }
