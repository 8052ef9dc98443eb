// Command signet-wg serves a node's WireGuard devices where the kernel has no
// WireGuard. Where it has, the process has nothing to do and waits, so that the
// same manifest fits every node.
//
// It serves them from a child process, which it starts again at once should it
// end. A second signet-wg stands by until the first ends, so that one version
// takes over from another within milliseconds.
package main

import (
	"context"
	"errors"
	"flag"
	"log/slog"
	"os"
	"os/signal"

	"golang.org/x/sys/unix"

	"github.com/signet-cni/signet/overlay"
	"github.com/signet-cni/signet/overlay/device"
	"github.com/signet-cni/signet/overlay/userspace"
)

// devices are those of package overlay/tunnel.
var devices = []string{overlay.DefaultDevice, overlay.DetourDevice}

func main() { os.Exit(run()) }

func run() int {
	mtu := flag.Int("mtu", 1420, "MTU in bytes of a device that does not exist yet")
	serve := flag.Bool("serve", false, "serve in this process, not in a child")
	flag.Parse()
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	if flag.NArg() > 0 {
		log.Error("unexpected argument", "argument", flag.Arg(0))
		return 2
	}
	ctx, stop := signal.NotifyContext(context.Background(), unix.SIGTERM, unix.SIGINT)
	defer stop()
	if err := work(ctx, *mtu, *serve, log); err != nil {
		log.Error("signet-wg ends", "error", err)
		return 1
	}
	log.Info("signet-wg ends", "child", *serve)
	return 0
}

func work(ctx context.Context, mtu int, serve bool, log *slog.Logger) error {
	if serve {
		return userspace.Serve(ctx, devices, mtu, log)
	}
	for _, name := range devices {
		kind, err := device.Open(name, mtu)
		if err != nil && !errors.Is(err, device.ErrNoKernel) {
			return err
		}
		if err != nil || kind != device.Kernel {
			return supervise(ctx, mtu, log)
		}
	}
	log.Info("the kernel serves WireGuard; nothing to do", "devices", devices)
	<-ctx.Done()
	return nil
}
