package device

import (
	"bytes"
	"net"
	"net/netip"
	"slices"
	"time"

	"golang.zx2c4.com/wireguard/wgctrl/wgtypes"
)

// Status is what a device is and does right now.
type Status struct {
	Name       string
	Kind       Kind
	Index      int // of the network device
	Up         bool
	MTU        int // bytes
	PublicKey  wgtypes.Key
	ListenPort int
	Peers      []PeerStatus // by key
}

// PeerStatus is what the device knows of one peer.
type PeerStatus struct {
	PublicKey     wgtypes.Key
	Endpoint      netip.AddrPort // where it was last heard from; may be invalid
	AllowedIPs    []netip.Prefix
	LastHandshake time.Time // zero: never
	Received      int64     // bytes of WireGuard's packets
	Sent          int64
}

// Status reads the device. It fails if the device is gone or, for a userspace
// device, nothing serves it.
func (d *Device) Status() (Status, error) {
	link, err := findLink(d.name)
	if err != nil {
		return Status{}, err
	}
	state, err := query(d.name)
	if err != nil {
		return Status{}, err
	}
	s := Status{
		Name: d.name, Kind: d.kind, Index: link.Attrs().Index,
		Up: link.Attrs().Flags&net.FlagUp != 0, MTU: link.Attrs().MTU,
		PublicKey: state.PublicKey, ListenPort: state.ListenPort,
	}
	for _, p := range state.Peers {
		s.Peers = append(s.Peers, peerStatus(p))
	}
	slices.SortFunc(s.Peers, func(a, b PeerStatus) int { return bytes.Compare(a.PublicKey[:], b.PublicKey[:]) })
	return s, nil
}

func peerStatus(p wgtypes.Peer) PeerStatus {
	s := PeerStatus{
		PublicKey: p.PublicKey, AllowedIPs: prefixes(p.AllowedIPs),
		LastHandshake: p.LastHandshakeTime, Received: p.ReceiveBytes, Sent: p.TransmitBytes,
	}
	if p.Endpoint != nil {
		at := p.Endpoint.AddrPort()
		s.Endpoint = netip.AddrPortFrom(at.Addr().Unmap(), at.Port())
	}
	return s
}
