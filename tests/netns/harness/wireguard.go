package harness

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"time"

	"golang.zx2c4.com/wireguard/wgctrl/wgtypes"

	"github.com/signet-cni/signet/overlay"
	"github.com/signet-cni/signet/overlay/device"
)

// wireGuard is the WireGuard device of one namespace.
type wireGuard struct {
	*Namespace
	key    wgtypes.Key
	device *device.Device
	server *exec.Cmd // signet-wg; nil with kernel WireGuard
	index  int       // of the network device
}

// newWireGuard makes the kernel's device, or starts signet-wg where the kernel
// has none.
func newWireGuard(n *Namespace) (*wireGuard, error) {
	key, err := wgtypes.GeneratePrivateKey()
	if err != nil {
		return nil, err
	}
	w := &wireGuard{Namespace: n, key: key}
	err = n.Try(func() error {
		_, err := device.Open(overlay.DefaultDevice, serverMTU)
		return err
	})
	if errors.Is(err, device.ErrNoKernel) {
		err = w.startServer()
	}
	if err == nil {
		err = w.ensure()
	}
	if err != nil {
		return nil, fmt.Errorf("WireGuard of %s: %w", n.name, err)
	}
	return w, nil
}

func (w *wireGuard) kind() device.Kind {
	if w.server != nil {
		return device.Userspace
	}
	return device.Kernel
}

// startServer starts signet-wg, which ends with the test at the latest.
func (w *wireGuard) startServer() error {
	cmd := itself(roleServer)
	if err := w.onHolder(cmd.Start); err != nil {
		return fmt.Errorf("start signet-wg: %w", err)
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

// ensure finds the device as the agent does when it starts.
func (w *wireGuard) ensure() error {
	return w.Try(func() (err error) {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		w.device, err = device.Ensure(ctx, overlay.DefaultDevice, serverMTU)
		if err != nil {
			return err
		}
		state, err := w.device.Status()
		w.index = state.Index
		return err
	})
}

// configure brings the device in line; key and port are the same always.
func (w *wireGuard) configure(want device.Desired) error {
	want.PrivateKey, want.ListenPort = w.key, overlay.DefaultPort
	return w.Try(func() error {
		_, err := w.device.Configure(want)
		return err
	})
}

// Userspace says whether signet-wg serves the node's device.
func (n *Node) Userspace() bool { return n.wg.kind() == device.Userspace }

// KillServer ends signet-wg as a crash would.
func (n *Node) KillServer() { stop(n.wg.server) }

// RestartServer starts signet-wg again and configures it.
func (n *Node) RestartServer() error {
	if err := n.wg.startServer(); err != nil {
		return err
	}
	if err := n.wg.ensure(); err != nil {
		return err
	}
	return n.configure()
}

// DropPeers makes the WireGuard device forget its peers; the datapath goes on
// sending to them.
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

// WireGuard is the kind of the node's device.
func (n *Node) WireGuard() string { return string(n.wg.kind()) }
