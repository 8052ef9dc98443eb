// Package wire holds what the CNI plugin and the agent say to each other over
// the agent's unix socket: HTTP with JSON bodies, one message type a call.
//
//	POST   /v1/endpoints/{containerID}/{ifname}  AllocateRequest -> Lease
//	PUT    /v1/endpoints/{containerID}/{ifname}  AttachRequest   -> Empty
//	GET    /v1/endpoints/{containerID}/{ifname}                  -> Lease
//	DELETE /v1/endpoints/{containerID}/{ifname}                  -> Empty
//	POST   /v1/gc                                GCRequest       -> Empty
//	GET    /v1/status                                            -> Empty
//
// Any other status than 200 carries an Error. Both sides refuse unknown
// fields, other versions and bodies above MaxBody.
package wire

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
)

const (
	// Version of the protocol. Plugin and agent are installed together, so
	// it must match exactly.
	Version = 2
	// MaxBody is the largest message in bytes. The largest in practice is a
	// GC request: about 120 bytes for each pod of the node.
	MaxBody  = 1 << 20
	gateway4 = "169.254.7.1"
	gateway6 = "fe80::1"
)

// Gateway returns the next hop of every pod's default route of addr's family.
// Nothing owns it: the pod has a permanent neighbour entry for it.
func Gateway(addr netip.Addr) netip.Addr {
	if addr.Is4() {
		return netip.MustParseAddr(gateway4)
	}
	return netip.MustParseAddr(gateway6)
}

// Header is embedded in every message.
type Header struct {
	Version int `json:"version"`
}

// NewHeader returns the header of a message that is to be sent.
func NewHeader() Header { return Header{Version: Version} }

func (h Header) protocol() int { return h.Version }

// Message is any of this package's messages.
type Message interface{ protocol() int }

// AllocateRequest asks for an address for a pod's interface.
type AllocateRequest struct {
	Header
	Namespace string `json:"namespace"`
	Pod       string `json:"pod"`
	PodUID    string `json:"podUID,omitempty"`
	// Shaped: the bandwidth plugin behind Signet limits this pod.
	Shaped bool `json:"shaped,omitempty"`
}

// Lease is what the agent reserved for an interface, and whether the
// interface is attached already.
type Lease struct {
	Header
	// Addresses are one of IPv4 and at most one of IPv6, in this order.
	Addresses []Address `json:"addresses"`
	MTU       int       `json:"mtu"` // bytes
	// Netkit: the interface is one of a pair of netkit devices, not of veth.
	Netkit bool `json:"netkit,omitempty"`
	// Attached says that an earlier ADD of this interface succeeded, with
	// the host interface of index HostIfIndex.
	Attached    bool `json:"attached,omitempty"`
	HostIfIndex int  `json:"hostIfIndex,omitempty"`
}

// Address is how a pod is reached by one family.
type Address struct {
	Addr    netip.Addr `json:"addr"`
	Gateway netip.Addr `json:"gateway"`
	// NodeAddr is the source of what the host sends to the pod.
	NodeAddr netip.Addr `json:"nodeAddr"`
}

// Validate refuses a lease that no interface could be made of.
func (l Lease) Validate() error {
	ok := l.MTU > 0 && len(l.Addresses) > 0 && l.Addresses[0].all(netip.Addr.Is4)
	switch len(l.Addresses) {
	case 1:
	case 2:
		ok = ok && l.Addresses[1].all(netip.Addr.Is6)
	default:
		ok = false
	}
	if !ok {
		return fmt.Errorf("invalid lease: addresses %v, MTU %d", l.Addresses, l.MTU)
	}
	return nil
}

func (a Address) all(family func(netip.Addr) bool) bool {
	return family(a.Addr) && family(a.Gateway) && family(a.NodeAddr)
}

// AttachRequest tells the agent about the interface made for a lease.
type AttachRequest struct {
	Header
	HostIfIndex int    `json:"hostIfIndex"`
	HostMAC     string `json:"hostMAC"`
	PodMAC      string `json:"podMAC"`
}

// GCRequest names all interfaces that still exist; the agent frees the rest.
type GCRequest struct {
	Header
	Valid []Key `json:"valid"`
}

// Empty is an answer without content.
type Empty struct {
	Header
}

// Error is the agent's answer to a request that it could not fulfil.
type Error struct {
	Header
	// Code is the CNI error code that the plugin reports.
	Code    uint   `json:"code"`
	Message string `json:"message"`
}

// Error returns the message.
func (e *Error) Error() string { return e.Message }

// Decode reads exactly one message of type T. It fails on unknown fields, on
// trailing data, on more than MaxBody bytes and on another protocol version.
func Decode[T Message](r io.Reader) (T, error) {
	var m T
	limited := &io.LimitedReader{R: r, N: MaxBody + 1}
	d := json.NewDecoder(limited)
	d.DisallowUnknownFields()
	err := d.Decode(&m)
	switch {
	case limited.N <= 0:
		return m, fmt.Errorf("message exceeds %d bytes", MaxBody)
	case err != nil:
		return m, fmt.Errorf("decode message: %w", err)
	case m.protocol() != Version:
		return m, fmt.Errorf("peer speaks version %d of the agent protocol, this side %d: plugin and agent come from different releases",
			m.protocol(), Version)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return m, errors.New("data after the message")
	}
	return m, nil
}
