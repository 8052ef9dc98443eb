package userspace

import (
	"errors"
	"fmt"
	"net"

	"golang.org/x/sys/unix"
	"golang.zx2c4.com/wireguard/tun"
)

// openTUN attaches to the persistent TUN device name, or creates it with the
// given MTU in bytes. Offloads are left on. Only one process can be attached.
func openTUN(name string, mtu int) (tun.Device, error) {
	if existing, err := net.InterfaceByName(name); err == nil {
		mtu = existing.MTU // whoever configured it knows better
	}
	dev, err := tun.CreateTUN(name, mtu)
	if errors.Is(err, unix.EBUSY) {
		return nil, fmt.Errorf("attach to %s: another process serves it: %w", name, err)
	}
	if err != nil {
		return nil, fmt.Errorf("attach to TUN device %s: %w", name, err)
	}
	if err := persist(dev); err != nil {
		return nil, errors.Join(fmt.Errorf("make %s persistent: %w", name, err), dev.Close())
	}
	return dev, nil
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
