package overlay

import (
	"encoding/binary"
	"fmt"
	"net/netip"
)

// Addresses of IPv6 packets inside the tunnel. A pod's address has 32 zero bits
// above its last 32, which the tunnel fills; nothing is added:
//
//	             0                              64              96             128
//	            +-------------------------------+---------------+---------------+
//	pod         |     pod CIDR of its node      |     zero 32   |   number 32   |
//	            +-------------------------------+---------------+---------------+
//	source      |     pod CIDR of its node      |  identity 32  |   number 32   |
//	            +-------------------------------+-------+-------+---------------+
//	destination |     pod CIDR of its node      | adj 16| aux 16|   number 32   |
//	            +-------------------------------+-------+-------+---------------+
//
// Number n from 1 to MaxHostNumber stands for the n-th IPv6 address that the
// node publishes as its own, whatever that is. adjust makes the sum over both
// tunnel addresses equal that over both real ones. Of aux, only Reply is defined.

// MaxHostNumber is the largest number that stands for a node's own IPv6 address
// in the tunnel. Pods have larger ones.
const MaxHostNumber = 15

// CheckPrefix6 refuses what cannot be a node's IPv6 pod CIDR: anything but a
// /64 without bits set behind its length, or one that looks like a tunnel
// prefix of the cluster.
func CheckPrefix6(cluster ClusterID, podCIDR netip.Prefix) error {
	switch {
	case !podCIDR.IsValid() || !podCIDR.Addr().Is6() || podCIDR.Addr().Is4In6():
		return fmt.Errorf("pod CIDR %s is not IPv6", podCIDR)
	case podCIDR.Bits() != prefixBits || podCIDR != podCIDR.Masked():
		return fmt.Errorf("pod CIDR %s is not a /64", podCIDR)
	case tunnelPrefix(podCIDR) && clusterOf(podCIDR) == cluster:
		return fmt.Errorf("pod CIDR %s lies in the tunnel's own range", podCIDR)
	}
	return nil
}

// PodAddr composes the IPv6 address with the given number in a node's pod
// CIDR.
func PodAddr(prefix netip.Prefix, number uint32) netip.Addr {
	a := prefix.Addr().As16()
	binary.BigEndian.PutUint32(a[12:], number)
	return netip.AddrFrom16(a)
}

// PodNumber gives the number of a pod's address in a node's pod CIDR; ok is
// false for what no pod there can have.
func PodNumber(prefix netip.Prefix, a netip.Addr) (number uint32, ok bool) {
	if prefixOf(a) != prefix {
		return 0, false
	}
	b := a.As16()
	number = binary.BigEndian.Uint32(b[12:])
	return number, binary.BigEndian.Uint32(b[8:]) == 0 && number > MaxHostNumber
}
