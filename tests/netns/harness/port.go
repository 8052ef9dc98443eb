package harness

import (
	"errors"
	"fmt"
	"net"
	"os"
)

// portRange is what the kernel gives to sockets that ask for any port.
const portRange = "/proc/sys/net/ipv4/ip_local_port_range"

// OnlyPort has a UDP socket of the node ask for any port while there is just this
// one, and says which it got.
func (n *Node) OnlyPort(port uint16) (got uint16, err error) {
	err = n.Try(func() error {
		before, err := os.ReadFile(portRange)
		if err != nil {
			return err
		}
		if err := os.WriteFile(portRange, fmt.Appendf(nil, "%d %d", port, port), 0o644); err != nil {
			return err
		}
		got, err = anyPort()
		return errors.Join(err, os.WriteFile(portRange, before, 0o644))
	})
	return got, err
}

func anyPort() (uint16, error) {
	conn, err := net.ListenUDP("udp4", nil)
	if err != nil {
		return 0, err
	}
	defer func() { _ = conn.Close() }() // nothing was sent
	return conn.LocalAddr().(*net.UDPAddr).AddrPort().Port(), nil
}
