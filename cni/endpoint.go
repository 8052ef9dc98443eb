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
	Addr        netip.Addr       `json:"addr"`
	HostIfName  string           `json:"hostIfName"`
	HostIfIndex int              `json:"hostIfIndex"`
	HostMAC     net.HardwareAddr `json:"hostMAC"`
	PodMAC      net.HardwareAddr `json:"podMAC"`
	// Shaped is true if the bandwidth plugin limits the pod: its packets
	// must then pass the queueing disciplines of the host interface.
	Shaped bool `json:"shaped,omitempty"`
}
