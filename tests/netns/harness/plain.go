package harness

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"

	"golang.zx2c4.com/wireguard/conn"
	wgdevice "golang.zx2c4.com/wireguard/device"
	"golang.zx2c4.com/wireguard/ipc"
	"golang.zx2c4.com/wireguard/tun"

	"github.com/signet-cni/signet/overlay"
	"github.com/signet-cni/signet/overlay/device"
)

// newPlainWireGuard gives a namespace the first WireGuard device alone: the
// kernel's, or that of a wireguard-go as it comes.
func newPlainWireGuard(n *Namespace) (*wireGuard, error) {
	return makeWireGuard(n, rolePlain, (*wireGuard).ensureFirst)
}

func (w *wireGuard) ensureFirst() error {
	return w.Try(func() (err error) {
		ctx, cancel := context.WithTimeout(context.Background(), openTime)
		defer cancel()
		w.first, err = device.Ensure(ctx, overlay.DefaultDevice, serverMTU)
		return err
	})
}

// servePlain does what the command golang.zx2c4.com/wireguard does, of the
// version that signet-wg is built with: none of package overlay/userspace.
func servePlain() error {
	const name = overlay.DefaultDevice
	tunnel, err := tun.CreateTUN(name, serverMTU)
	if err != nil {
		return fmt.Errorf("create %s: %w", name, err)
	}
	socket, err := ipc.UAPIOpen(name)
	if err != nil {
		return errors.Join(fmt.Errorf("open the UAPI socket: %w", err), tunnel.Close())
	}
	log := wgdevice.NewLogger(wgdevice.LogLevelError, name+" ")
	wg := wgdevice.NewDevice(tunnel, conn.NewDefaultBind(), log)
	defer wg.Close()
	control, err := ipc.UAPIListen(name, socket)
	if err != nil {
		return fmt.Errorf("listen on the UAPI socket: %w", err)
	}
	return acceptPlain(control, wg)
}

func acceptPlain(control net.Listener, wg *wgdevice.Device) error {
	for {
		c, err := control.Accept()
		if err != nil {
			return err
		}
		go wg.IpcHandle(c)
	}
}

func servePlainWireGuard() int {
	fmt.Fprintln(os.Stderr, "wireguard-go:", servePlain())
	return exitTrouble
}
