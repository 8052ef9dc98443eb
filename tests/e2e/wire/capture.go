// Package wire watches the link between the nodes of a kind cluster, from the
// machine that they run on. It needs root.
package wire

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"

	"golang.org/x/sys/unix"
)

// Capture takes frames from an interface until it is stopped.
type Capture struct {
	file   *os.File
	rules  Rules
	counts Counts
	done   chan error
}

// Link finds the bridge that connects the nodes of all kind clusters.
func Link(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "docker", "network", "inspect", "kind", "--format", "{{.Id}}").Output()
	if err != nil {
		return "", fmt.Errorf("find the network of kind: %w", err)
	}
	id := strings.TrimSpace(string(out))
	if len(id) < 12 {
		return "", fmt.Errorf("find the network of kind: odd number %q", id)
	}
	return "br-" + id[:12], nil
}

const (
	// bufferSize holds what comes while the capture waits for a processor.
	bufferSize = 64 << 20
	// frameSize holds a segmentation offload's largest frame.
	frameSize = 1 << 17
	// allProtocols is ETH_P_ALL in network byte order.
	allProtocols = unix.ETH_P_ALL<<8&0xff00 | unix.ETH_P_ALL>>8
)

// Start captures everything that passes an interface, whoever it is for.
func Start(ifName string, rules Rules) (*Capture, error) {
	link, err := net.InterfaceByName(ifName)
	if err != nil {
		return nil, fmt.Errorf("capture on %s: %w", ifName, err)
	}
	file, err := open(link.Index)
	if err != nil {
		return nil, fmt.Errorf("capture on %s: %w", ifName, err)
	}
	c := &Capture{file: file, rules: rules, counts: Counts{}, done: make(chan error, 1)}
	go func() { c.done <- c.run() }()
	return c, nil
}

// open gives a packet socket that is bound to an interface.
func open(ifIndex int) (*os.File, error) {
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	promiscuous := unix.PacketMreq{Ifindex: int32(ifIndex), Type: unix.PACKET_MR_PROMISC}
	err = errors.Join(
		os.NewSyscallError("SO_RCVBUFFORCE", unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, bufferSize)),
		os.NewSyscallError("PACKET_ADD_MEMBERSHIP",
			unix.SetsockoptPacketMreq(fd, unix.SOL_PACKET, unix.PACKET_ADD_MEMBERSHIP, &promiscuous)),
		os.NewSyscallError("bind", unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: allProtocols, Ifindex: ifIndex})),
	)
	if err != nil {
		return nil, errors.Join(err, unix.Close(fd))
	}
	return os.NewFile(uintptr(fd), "capture"), nil
}

func (c *Capture) run() error {
	frame := make([]byte, frameSize)
	for {
		n, err := c.file.Read(frame)
		if errors.Is(err, os.ErrClosed) {
			return nil
		}
		if err != nil {
			return err
		}
		c.counts.add(c.rules.classify(frame[:n]), frame[:n], c.rules.Marker)
	}
}

// Stop ends the capture and gives what it saw. It is an error if the kernel
// had to leave out frames.
func (c *Capture) Stop() (Counts, error) {
	lost, err := c.lost()
	err = errors.Join(err, c.file.Close(), <-c.done)
	if err == nil && lost > 0 {
		err = fmt.Errorf("the capture missed %d frames", lost)
	}
	return c.counts, err
}

// lost gives how many frames did not fit into the buffer.
func (c *Capture) lost() (uint32, error) {
	raw, err := c.file.SyscallConn()
	if err != nil {
		return 0, err
	}
	var stats *unix.TpacketStats
	var failure error
	err = raw.Control(func(fd uintptr) {
		stats, failure = unix.GetsockoptTpacketStats(int(fd), unix.SOL_PACKET, unix.PACKET_STATISTICS)
	})
	if err = errors.Join(err, failure); err != nil {
		return 0, os.NewSyscallError("PACKET_STATISTICS", err)
	}
	return stats.Drops, nil
}
