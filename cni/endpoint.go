package cni

import (
	"net"
	"net/netip"

	"github.com/signet-cni/signet/cni/internal/wire"
)

// HostIfPrefix begins the names of all pods' interfaces on their node, and of
// no other.
const HostIfPrefix = wire.HostIfPrefix

// Endpoint is one pod interface on this node.
type Endpoint struct {
	ContainerID string           `json:"containerID"`
	IfName      string           `json:"ifName"` // inside the pod
	Namespace   string           `json:"namespace"`
	Pod         string           `json:"pod"`
	PodUID      string           `json:"podUID,omitempty"`
	Addr        netip.Addr       `json:"addr"`           // IPv4
	Addr6       netip.Addr       `json:"addr6,omitzero"` // IPv6, if the pod has any
	HostIfName  string           `json:"hostIfName"`
	HostIfIndex int              `json:"hostIfIndex"`
	HostMAC     net.HardwareAddr `json:"hostMAC"`
	PodMAC      net.HardwareAddr `json:"podMAC"`
	// Shaped is true if the bandwidth plugin limits the pod: its packets
	// must then pass the queueing disciplines of the host interface.
	Shaped bool `json:"shaped,omitempty"`
	// Netkit is true if the interface is one of a pair of netkit devices, as
	// it stays until the pod ends; else they are veth devices.
	Netkit bool `json:"netkit,omitempty"`
}

// Addrs are the pod's addresses, IPv4 first.
func (e Endpoint) Addrs() []netip.Addr {
	if !e.Addr6.IsValid() {
		return []netip.Addr{e.Addr}
	}
	return []netip.Addr{e.Addr, e.Addr6}
}
