package userspace

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"

	"golang.zx2c4.com/wireguard/conn"
	"golang.zx2c4.com/wireguard/device"

	"github.com/signet-cni/signet/overlay"
)

// Serve runs the WireGuard device name until ctx ends, and then leaves the TUN
// device in place. The MTU in bytes counts only if the device does not exist
// yet. The private key and the peers come through the UAPI socket; until then
// every packet is dropped.
func Serve(ctx context.Context, name string, mtu int, log *slog.Logger) error {
	if err := overlay.CheckDeviceName(name); err != nil {
		return err
	}
	tunnel, err := openTUN(name, mtu)
	if err != nil {
		return err
	}
	wg := device.NewDevice(tunnel, conn.NewDefaultBind(), newLogger(log))
	defer wg.Close()
	control, err := listen(name)
	if err != nil {
		return err
	}
	log.Info("serving WireGuard in userspace", "device", name)
	failed := make(chan error, 1)
	go func() { failed <- accept(control, wg) }()
	select {
	case <-ctx.Done():
		return control.Close()
	case <-wg.Wait():
		return errors.Join(fmt.Errorf("device %s was removed", name), control.Close())
	case err := <-failed:
		return errors.Join(err, control.Close())
	}
}

func accept(control net.Listener, wg *device.Device) error {
	for {
		c, err := control.Accept()
		if err != nil {
			return fmt.Errorf("accept on UAPI socket: %w", err)
		}
		go wg.IpcHandle(c)
	}
}
