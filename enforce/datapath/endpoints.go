package datapath

import (
	"encoding/binary"
	"fmt"
	"maps"
	"net"
	"net/netip"

	"github.com/signet-cni/signet/enforce/policy"
	"github.com/signet-cni/signet/identity"
)

// Endpoint is a pod of this node as the programs see it.
type Endpoint struct {
	Addr     netip.Addr
	IfIndex  int // host side of the veth
	Identity identity.ID
	MAC      net.HardwareAddr // the pod's
	HostMAC  net.HardwareAddr // the host side's
	Shaped   bool             // packets must pass the interface's queues
	Ports    []NamedPort
}

// NamedPort is a container port with a name.
type NamedPort struct {
	Name     string
	Protocol policy.Protocol
	Port     uint16
}

// maxPortNames is how many names one port of a pod may have (MAX_PORT_NAMES).
const maxPortNames = len(bpfPodPortNames{}.Names)

// podPorts are the entries of one pod's named ports.
type podPorts map[bpfPodPortKey]bpfPodPortNames

// SetEndpoint puts ep in force. From then on the pod may send and receive
// what policy admits for its identity; before, nothing. One that is in force as
// it is waits for nobody.
func (d *Datapath) SetEndpoint(ep Endpoint) error {
	value, err := toEndpoint(ep)
	if err == nil {
		err = d.checkAddr(ep.Addr)
	}
	if err != nil {
		return err
	}
	ports, err := toPodPorts(ep)
	if err != nil {
		return err
	}
	addr := toAddr(ep.Addr)
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.isInForce(addr, value, ports) {
		return nil
	}
	delete(d.ports, addr)
	d.readers.end() // of what was removed before
	if err := d.replaceEndpoint(ep.Addr, value, ports); err != nil {
		return err
	}
	d.readers.end() // of what was replaced
	if err := d.slots.occupy(addr, value); err != nil {
		return err
	}
	d.ports[addr] = ports
	return nil
}

// isInForce reports whether SetEndpoint would write nothing. d.mu is held.
func (d *Datapath) isInForce(addr bpfAddr, value bpfEndpoint, ports podPorts) bool {
	now, whole := d.ports[addr]
	return whole && d.endpoints.known[addr] == value && maps.Equal(now, ports) && d.slots.taken(addr)
}

// replaceEndpoint leaves the endpoint's slot vacant if it changes anything.
func (d *Datapath) replaceEndpoint(at netip.Addr, value bpfEndpoint, ports podPorts) error {
	defer d.letEndpointsGo()
	if err := d.setPodPorts(at, ports); err != nil {
		return err
	}
	addr := toAddr(at)
	if d.endpoints.known[addr] == value {
		return nil
	}
	if err := d.slots.vacate(addr); err != nil {
		return err
	}
	return d.endpoints.set(addr, value)
}

// DeleteEndpoint forgets the pod at addr; nothing passes to or from it any
// more. An unknown address is no error.
func (d *Datapath) DeleteEndpoint(addr netip.Addr) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	defer d.letEndpointsGo()
	delete(d.ports, toAddr(addr))
	if err := d.slots.vacate(toAddr(addr)); err != nil {
		return err
	}
	if err := d.endpoints.remove(toAddr(addr)); err != nil {
		return err
	}
	return d.setPodPorts(addr, nil)
}

// letEndpointsGo begins to wait for programs that use an entry which was replaced
// or removed. The next pod's entry may lie in its memory, and would get packets
// that were judged as the other pod's: it is written after that. d.mu is held.
func (d *Datapath) letEndpointsGo() {
	endpoint, ports := d.endpoints.takeFreed(), d.podPorts.takeFreed()
	if endpoint || ports {
		d.readers.begin()
	}
}

// Endpoints lists the addresses that are in force.
func (d *Datapath) Endpoints() map[netip.Addr]Endpoint {
	d.mu.Lock()
	defer d.mu.Unlock()
	list := make(map[netip.Addr]Endpoint, len(d.endpoints.known))
	for key, v := range d.endpoints.known {
		addr := fromAddr(key)
		list[addr] = Endpoint{
			Addr: addr, IfIndex: int(v.Ifindex), Identity: identity.ID(v.Identity),
			MAC: v.Mac[:], HostMAC: v.HostMac[:],
			Shaped: v.Flags&uint32(bpfEndpointFlagsENDPOINT_SHAPED) != 0,
		}
	}
	return list
}

// PortNames gives the names that a pod of this node gives to one of its ports.
func (d *Datapath) PortNames(at netip.AddrPort, protocol policy.Protocol) []policy.NameID {
	key := bpfPodPortKey{Addr: toAddr(at.Addr()), Port: toPort(at.Port()), Protocol: uint8(protocol)}
	var value bpfPodPortNames
	if err := d.objs.PodPorts.Lookup(key, &value); err != nil {
		return nil // as the programs see it, whatever the reason
	}
	var names []policy.NameID
	for _, name := range value.Names {
		if name != 0 {
			names = append(names, policy.NameID(name))
		}
	}
	return names
}

func (d *Datapath) setPodPorts(addr netip.Addr, ports podPorts) error {
	if err := d.podPorts.add(ports); err != nil {
		return err
	}
	own := toAddr(addr)
	return d.podPorts.removeIf(func(key bpfPodPortKey) bool {
		_, ok := ports[key]
		return key.Addr == own && !ok
	})
}

func toEndpoint(ep Endpoint) (bpfEndpoint, error) {
	v := bpfEndpoint{Ifindex: uint32(ep.IfIndex), Identity: uint32(ep.Identity)}
	if !ep.Addr.IsValid() || ep.IfIndex <= 0 {
		return v, fmt.Errorf("endpoint %s: no address or interface", ep.Addr)
	}
	if ep.Identity.Reserved() {
		return v, fmt.Errorf("endpoint %s: identity %s is reserved", ep.Addr, ep.Identity)
	}
	if copy(v.Mac[:], ep.MAC) != len(v.Mac) || copy(v.HostMac[:], ep.HostMAC) != len(v.HostMac) {
		return v, fmt.Errorf("endpoint %s: MAC addresses %q and %q: want 6 bytes each", ep.Addr, ep.MAC, ep.HostMAC)
	}
	if ep.Shaped {
		v.Flags |= uint32(bpfEndpointFlagsENDPOINT_SHAPED)
	}
	return v, nil
}

// checkAddr refuses an IPv6 address that the tunnel could not carry.
func (d *Datapath) checkAddr(addr netip.Addr) error {
	if addr.Is4() {
		return nil
	}
	if !d.cfg.Prefix6.IsValid() || !d.cfg.Prefix6.Contains(addr) {
		return fmt.Errorf("endpoint %s: outside this node's IPv6 pod CIDR %q", addr, d.cfg.Prefix6)
	}
	b := addr.As16()
	if binary.BigEndian.Uint32(b[8:]) != 0 || binary.BigEndian.Uint32(b[12:]) <= MaxHostNumber {
		return fmt.Errorf("endpoint %s: want zero in the 32 bits behind the /64, and more than %d in the last 32", addr, MaxHostNumber)
	}
	return nil
}

func toPodPorts(ep Endpoint) (podPorts, error) {
	ports := podPorts{}
	used := map[bpfPodPortKey]int{}
	for _, p := range ep.Ports {
		key := bpfPodPortKey{Addr: toAddr(ep.Addr), Port: toPort(p.Port), Protocol: uint8(p.Protocol)}
		if used[key] == maxPortNames {
			return nil, fmt.Errorf("endpoint %s: port %d has more than %d names", ep.Addr, p.Port, maxPortNames)
		}
		names := ports[key]
		names.Names[used[key]] = uint64(policy.NameIDOf(p.Name))
		ports[key] = names
		used[key]++
	}
	return ports, nil
}

func fromAddr(a bpfAddr) netip.Addr { return netip.AddrFrom16(a.Bytes).Unmap() }
