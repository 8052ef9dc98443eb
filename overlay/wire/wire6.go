package wire

import (
	"bytes"

	"github.com/signet-cni/signet/overlay"
)

// Encode6 gives an IPv6 packet its addresses in the tunnel. Bytes behind the
// payload length are cut off. hosts tells the numbers of the nodes' own
// addresses.
func Encode6(packet []byte, route Route, hosts overlay.Hosts) ([]byte, error) {
	h, err := parse6(packet)
	if err == nil {
		err = h.check6()
	}
	if err != nil {
		return nil, err
	}
	tag := overlay.Tag6{
		From: route.From, To: route.To, Identity: route.Identity, Reply: route.Reply, Src: h.src, Dst: h.dst,
	}
	h.src, h.dst, err = tag.Addresses(hosts)
	if err != nil {
		return nil, err
	}
	return h.readdress(packet), nil
}

// Decode6 gives an IPv6 packet of the tunnel its own addresses back and returns
// what those in the tunnel said.
func Decode6(packet []byte, hosts overlay.Hosts) ([]byte, overlay.Tag6, error) {
	h, err := parse6(packet)
	if err == nil {
		err = h.check6()
	}
	if err != nil {
		return nil, overlay.Tag6{}, err
	}
	tag, err := overlay.ParseTag6(h.src, h.dst, hosts)
	if err != nil {
		return nil, overlay.Tag6{}, err
	}
	h.src, h.dst = tag.Src, tag.Dst
	return h.readdress(packet), tag, nil
}

// readdress copies the packet that h was read from, with h's addresses.
func (h header) readdress(packet []byte) []byte {
	size := header6Len + len(h.payload)
	if h.fragmentHeader {
		size += fragmentLen
	}
	p := bytes.Clone(packet[:size])
	src, dst := h.src.As16(), h.dst.As16()
	copy(p[8:], src[:])
	copy(p[24:], dst[:])
	return p
}
