// Command signet-wg serves a node's WireGuard device where the kernel has no
// WireGuard. Where it has, the process has nothing to do and waits, so that the
// same manifest fits every node.
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

func main() { os.Exit(run()) }

func run() int {
	name := flag.String("device", overlay.DefaultDevice, "name of the WireGuard device")
	mtu := flag.Int("mtu", 1420, "MTU in bytes of a device that does not exist yet")
	flag.Parse()
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	if flag.NArg() > 0 {
		log.Error("unexpected argument", "argument", flag.Arg(0))
		return 2
	}
	ctx, stop := signal.NotifyContext(context.Background(), unix.SIGTERM, unix.SIGINT)
	defer stop()

	kind, err := device.Open(*name, *mtu)
	switch {
	case err == nil && kind == device.Kernel:
		log.Info("the kernel serves WireGuard; nothing to do", "device", *name)
		<-ctx.Done()
	case err == nil || errors.Is(err, device.ErrNoKernel):
		err = userspace.Serve(ctx, *name, *mtu, log)
	}
	if err != nil {
		log.Error("signet-wg ends", "error", err)
		return 1
	}
	log.Info("signet-wg ends")
	return 0
}
