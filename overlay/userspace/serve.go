package userspace

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"

	"golang.zx2c4.com/wireguard/conn"
	"golang.zx2c4.com/wireguard/device"

	"github.com/signet-cni/signet/overlay"
)

// errRemoved ends serveOnce.
var errRemoved = errors.New("the device was removed")

// Serve runs the WireGuard devices names until ctx ends, and then leaves the
// TUN devices in place. The MTU in bytes counts only for a device that does not
// exist yet. Private keys and peers come through the UAPI sockets; until then
// every packet is dropped. While another process serves a device, Serve stands
// by and takes it over when that process ends. A device that is removed is made
// anew, under its old index.
func Serve(ctx context.Context, names []string, mtu int, log *slog.Logger) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var running sync.WaitGroup
	var crossing traffic
	for _, name := range names {
		running.Go(func() {
			if err := serve(ctx, name, mtu, &crossing, log); err != nil {
				cancel(err)
			}
		})
	}
	running.Go(func() { adaptProcessors(ctx, &crossing) })
	running.Wait()
	if cause := context.Cause(ctx); !errors.Is(cause, context.Canceled) {
		return cause
	}
	return nil
}

func serve(ctx context.Context, name string, mtu int, crossing *traffic, log *slog.Logger) error {
	if err := overlay.CheckDeviceName(name); err != nil {
		return err
	}
	index := 0
	for {
		err := serveOnce(ctx, name, mtu, &index, crossing, log)
		if !errors.Is(err, errRemoved) {
			return err
		}
		log.Warn("making the device anew", "device", name, "error", err)
	}
}

func serveOnce(ctx context.Context, name string, mtu int, index *int, crossing *traffic, log *slog.Logger) error {
	tunnel, err := attach(ctx, name, mtu, *index, log)
	if tunnel == nil {
		return err
	}
	if found, err := net.InterfaceByName(name); err == nil {
		*index = found.Index
	}
	wg := device.NewDevice(&patient{Device: counted{whole{tunnel}, crossing}}, conn.NewDefaultBind(), newLogger(log))
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
		return errors.Join(fmt.Errorf("%s: %w", name, errRemoved), control.Close())
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
