package lab

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

// Inject sends an IPv6 packet on a device of a node, past its hooks: as who has
// taken over the node could.
func (c *Cluster) Inject(ctx context.Context, node int, device string, packet []byte) error {
	name := c.Nodes[node].Name
	out, err := exec.CommandContext(ctx, "docker", "inspect", "--format", "{{.State.Pid}}", name).Output()
	if err != nil {
		return fmt.Errorf("find node %s: %w", name, err)
	}
	network, err := os.Open("/proc/" + strings.TrimSpace(string(out)) + "/ns/net")
	if err != nil {
		return fmt.Errorf("node %s: %w", name, err)
	}
	defer func() { _ = network.Close() }() // it was only read
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // for good: the thread is in the node's network, and ends with this function
		done <- errors.Join(os.NewSyscallError("setns", unix.Setns(int(network.Fd()), unix.CLONE_NEWNET)), send(device, packet))
	}()
	if err := <-done; err != nil {
		return fmt.Errorf("send from node %s: %w", name, err)
	}
	return nil
}

func send(device string, packet []byte) (err error) {
	link, err := net.InterfaceByName(device)
	if err != nil {
		return err
	}
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return os.NewSyscallError("socket", err)
	}
	defer func() { err = errors.Join(err, unix.Close(fd)) }()
	if err := unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_QDISC_BYPASS, 1); err != nil {
		return os.NewSyscallError("PACKET_QDISC_BYPASS", err)
	}
	const ipv6 = unix.ETH_P_IPV6<<8&0xff00 | unix.ETH_P_IPV6>>8 // in network byte order
	return os.NewSyscallError("sendto", unix.Sendto(fd, packet, 0, &unix.SockaddrLinklayer{Protocol: ipv6, Ifindex: link.Index}))
}
