package harness

import (
	"errors"
	"fmt"
	"net"
	"os"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Of the XDP socket: descriptors in each ring, and bytes of its one buffer.
const (
	xdpRing   = 2
	xdpBuffer = 2048
)

// SendXDP puts a frame on a device by an XDP socket: the kernel has looked at
// none of its headers when the device gets it.
func (n *Namespace) SendXDP(device string, frame []byte) error {
	return n.Try(func() error {
		ifi, err := net.InterfaceByName(device)
		if err != nil {
			return err
		}
		fd, err := unix.Socket(unix.AF_XDP, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return fmt.Errorf("XDP socket: %w", err)
		}
		defer func() { _ = unix.Close(fd) }()
		release, err := fillXDP(fd, frame)
		if err != nil {
			return err
		}
		defer release()
		if err := bindXDP(fd, uint32(ifi.Index)); err != nil {
			return fmt.Errorf("bind an XDP socket to %s: %w", device, err)
		}
		return unix.Sendto(fd, nil, unix.MSG_DONTWAIT, nil)
	})
}

// bindXDP waits for the kernel to let go of an earlier socket, which it does some
// time after that is closed.
func bindXDP(fd int, ifindex uint32) (err error) {
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		err = unix.Bind(fd, &unix.SockaddrXDP{Flags: unix.XDP_COPY, Ifindex: ifindex})
		if !errors.Is(err, unix.EBUSY) {
			return err
		}
	}
	return err
}

// fillXDP gives a socket its memory and rings, with the frame to be sent. The
// socket lives until they are released.
func fillXDP(fd int, frame []byte) (release func(), err error) {
	memory, err := unix.Mmap(-1, 0, os.Getpagesize(), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS|unix.MAP_POPULATE)
	if err != nil {
		return nil, err
	}
	copy(memory, frame)
	reg := unix.XDPUmemReg{Addr: uint64(uintptr(unsafe.Pointer(&memory[0]))), Len: uint64(len(memory)), Size: xdpBuffer}
	if _, _, errno := unix.Syscall6(unix.SYS_SETSOCKOPT, uintptr(fd), unix.SOL_XDP, unix.XDP_UMEM_REG,
		uintptr(unsafe.Pointer(&reg)), unsafe.Sizeof(reg), 0); errno != 0 {
		return nil, fmt.Errorf("register memory of an XDP socket: %w", errno)
	}
	for _, ring := range []int{unix.XDP_UMEM_FILL_RING, unix.XDP_UMEM_COMPLETION_RING, unix.XDP_TX_RING} {
		if err := unix.SetsockoptInt(fd, unix.SOL_XDP, ring, xdpRing); err != nil {
			return nil, fmt.Errorf("ring %d of an XDP socket: %w", ring, err)
		}
	}
	var offsets unix.XDPMmapOffsets
	size := uint32(unsafe.Sizeof(offsets))
	if _, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(fd), unix.SOL_XDP, unix.XDP_MMAP_OFFSETS,
		uintptr(unsafe.Pointer(&offsets)), uintptr(unsafe.Pointer(&size)), 0); errno != 0 {
		return nil, fmt.Errorf("offsets of an XDP socket: %w", errno)
	}
	descSize := int(unsafe.Sizeof(unix.XDPDesc{}))
	ring, err := unix.Mmap(fd, unix.XDP_PGOFF_TX_RING, int(offsets.Tx.Desc)+xdpRing*descSize,
		unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_POPULATE)
	if err != nil {
		return nil, fmt.Errorf("map the ring of an XDP socket: %w", err)
	}
	*(*unix.XDPDesc)(unsafe.Pointer(&ring[offsets.Tx.Desc])) = unix.XDPDesc{Len: uint32(len(frame))}
	atomic.StoreUint32((*uint32)(unsafe.Pointer(&ring[offsets.Tx.Producer])), 1)
	return func() { _ = errors.Join(unix.Munmap(ring), unix.Munmap(memory)) }, nil // of this process, which ends with the test
}
