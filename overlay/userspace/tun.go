package userspace

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"time"

	"golang.org/x/sys/unix"
	"golang.zx2c4.com/wireguard/tun"
)

// standbyInterval is how often a process that stands by looks whether the
// device is free.
const standbyInterval = 10 * time.Millisecond

// attach waits for the process that serves the device to end. It gives none if
// ctx ends first.
func attach(ctx context.Context, name string, mtu, index int, log *slog.Logger) (tun.Device, error) {
	for told := false; ; {
		dev, err := openTUN(name, mtu, index)
		if !errors.Is(err, unix.EBUSY) {
			return dev, err
		}
		if !told {
			log.Info("standing by: another process serves the device", "device", name)
			told = true
		}
		select {
		case <-ctx.Done():
			return nil, nil
		case <-time.After(standbyInterval):
		}
	}
}

// openTUN attaches to the persistent TUN device name, or creates it with the
// given MTU in bytes and index, 0 for any. Offloads are left on. Only one
// process can be attached; for others the error is EBUSY.
func openTUN(name string, mtu, index int) (tun.Device, error) {
	if existing, err := net.InterfaceByName(name); err == nil {
		mtu = existing.MTU // whoever configured it knows better
	}
	file, err := openQueue(name, index)
	if err != nil {
		return nil, fmt.Errorf("attach to TUN device %s: %w", name, err)
	}
	dev, err := tun.CreateTUNFromFile(file, mtu)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("attach to TUN device %s: %w", name, err), file.Close())
	}
	if err := persist(dev); err != nil {
		return nil, errors.Join(fmt.Errorf("make %s persistent: %w", name, err), dev.Close())
	}
	return dev, nil
}

// openQueue opens the one queue of the device (Documentation/networking/tuntap
// of the kernel), with the header by which offloads are told.
func openQueue(name string, index int) (*os.File, error) {
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	request, err := unix.NewIfreq(name)
	if err == nil && index != 0 {
		err = unix.IoctlSetPointerInt(fd, unix.TUNSETIFINDEX, index)
	}
	if err == nil {
		request.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI | unix.IFF_VNET_HDR)
		err = unix.IoctlIfreq(fd, unix.TUNSETIFF, request)
	}
	if err != nil {
		return nil, errors.Join(err, unix.Close(fd))
	}
	return os.NewFile(uintptr(fd), "/dev/net/tun"), nil
}

func persist(dev tun.Device) error {
	conn, err := dev.File().SyscallConn()
	if err != nil {
		return err
	}
	var ioctlErr error
	err = conn.Control(func(fd uintptr) { ioctlErr = unix.IoctlSetInt(int(fd), unix.TUNSETPERSIST, 1) })
	return errors.Join(err, ioctlErr)
}
