package device

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

// reservedPorts lists the ports that the kernel hands to no socket which asks for
// any (ip_local_reserved_ports of its Documentation/networking/ip-sysctl): of
// this network namespace, for TCP and UDP and both families.
const reservedPorts = "/proc/sys/net/ipv4/ip_local_reserved_ports"

// ReservePorts adds ports to those. A WireGuard device without a configuration,
// or a process of the node, might have got one by chance, and then who needs
// that one could not listen.
func ReservePorts(ports ...uint16) error {
	have, err := os.ReadFile(reservedPorts)
	if err != nil {
		return fmt.Errorf("read reserved ports: %w", err)
	}
	list, err := withPorts(strings.TrimSpace(string(have)), ports)
	if err != nil || list == strings.TrimSpace(string(have)) {
		return err
	}
	if err := os.WriteFile(reservedPorts, []byte(list), 0o644); err != nil {
		return fmt.Errorf("reserve ports %v: %w", ports, err)
	}
	return nil
}

// withPorts adds ports to a list like "80,8080-8090", unless it has them.
func withPorts(list string, ports []uint16) (string, error) {
	var ranges []string
	if list != "" {
		ranges = strings.Split(list, ",")
	}
	for _, port := range ports {
		listed, err := hasPort(ranges, port)
		if err != nil {
			return "", err
		}
		if !listed {
			ranges = append(ranges, strconv.Itoa(int(port)))
		}
	}
	return strings.Join(ranges, ","), nil
}

func hasPort(ranges []string, port uint16) (bool, error) {
	for _, text := range ranges {
		low, high, is := strings.Cut(text, "-")
		if !is {
			high = low
		}
		first, err := strconv.ParseUint(low, 10, 16)
		if err != nil {
			return false, fmt.Errorf("reserved ports: %q is no port", text)
		}
		last, err := strconv.ParseUint(high, 10, 16)
		if err != nil {
			return false, fmt.Errorf("reserved ports: %q is no port", text)
		}
		if uint64(port) >= first && uint64(port) <= last {
			return true, nil
		}
	}
	return false, nil
}
