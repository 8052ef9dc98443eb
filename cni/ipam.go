package cni

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/containernetworking/cni/pkg/types"
	"github.com/containernetworking/plugins/plugins/ipam/host-local/backend/allocator"
	"github.com/containernetworking/plugins/plugins/ipam/host-local/backend/disk"

	"github.com/signet-cni/signet/cni/internal/wire"
)

// ipam hands out the addresses of the node's pod ranges with host-local's
// allocator: one file an address in dir, round robin. Every call opens the
// store anew, since its file lock holds only between open files.
type ipam struct {
	dir string

	mu sync.Mutex
	of held // nil: not read yet
}

const (
	minRangeBits = 30 // the smallest IPv4 range that has a usable address
	rangeBits6   = 64 // of every IPv6 range
	// firstHost6 is the first number of an IPv6 range that a pod can have: the
	// tunnel names the node's own addresses by those below (overlay).
	firstHost6 = 16
	// claimedRange keeps claims out of the round robin of the node's ranges.
	claimedRange = "claimed"
)

// allocate reserves an address of each of the node's pod ranges for key, or
// returns those that key has. An IPv4 range's first two addresses and its last
// are never handed out. addr6 is invalid if the node has no IPv6 range.
func (i *ipam) allocate(key wire.Key, node Node) (addr, addr6 netip.Addr, err error) {
	ranges, err := podRanges(node)
	if err != nil {
		return addr, addr6, err
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	store, err := i.open()
	if err != nil {
		return addr, addr6, err
	}
	defer func() { _ = store.Close() }() // only ends the lock
	var got [2]netip.Addr
	for n, r := range ranges {
		if got[n], err = allocateFrom(store, key, n, r); err != nil {
			// Neither a half-written reservation nor half a pair must stay.
			err = errors.Join(err, allocator.NewIPAllocator(nil, store, n).Release(key.ContainerID, key.IfName))
			return addr, addr6, fmt.Errorf("no address for the pod in node %s's podCIDR %s: %w", node.Name, r.cidr, err)
		}
	}
	return got[0], got[1], nil
}

// allocateFrom reserves an address of one range, unless key has one there.
func allocateFrom(store reservations, key wire.Key, number int, r podRange) (netip.Addr, error) {
	if addr, ok := owned(store, key, r.cidr); ok {
		return addr, nil
	}
	a := allocator.NewIPAllocator(&allocator.RangeSet{r.hosts}, store, number)
	got, err := a.Get(key.ContainerID, key.IfName, nil)
	if err != nil {
		return netip.Addr{}, err
	}
	addr, ok := netip.AddrFromSlice(got.Address.IP)
	if !ok {
		return netip.Addr{}, fmt.Errorf("the allocator returned the address %v", got.Address.IP)
	}
	return addr.Unmap(), nil
}

// claim makes sure that addr is reserved for key, whichever range it is from.
func (i *ipam) claim(key wire.Key, addr netip.Addr) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	store, err := i.open()
	if err != nil {
		return err
	}
	defer func() { _ = store.Close() }() // only ends the lock
	if err := store.Lock(); err != nil {
		return fmt.Errorf("lock the address store: %w", err)
	}
	reserved, err := store.Reserve(key.ContainerID, key.IfName, addr.AsSlice(), claimedRange)
	if err != nil || reserved {
		return err
	}
	owner, err := readOwner(filepath.Join(i.dir, addr.String()))
	if err == nil && owner != key {
		err = fmt.Errorf("address %s belongs to %s", addr, owner.ContainerID)
	}
	return err
}

// release frees all addresses of key. That it has none is no error.
func (i *ipam) release(key wire.Key) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	store, err := i.open()
	if err != nil {
		return err
	}
	defer func() { _ = store.Close() }() // only ends the lock
	a := allocator.NewIPAllocator(nil, store, 0)
	if err := a.Release(key.ContainerID, key.IfName); err != nil {
		return fmt.Errorf("release the address of %s: %w", key.ContainerID, err)
	}
	if left := store.GetByID(key.ContainerID, key.IfName); len(left) > 0 {
		return fmt.Errorf("release the address of %s: %v is still reserved", key.ContainerID, left)
	}
	return nil
}

// owners returns whoever holds an address. It reads all files, and so finds what
// is not remembered.
func (i *ipam) owners() ([]wire.Key, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.of = nil
	store, err := i.open()
	if err != nil {
		return nil, err
	}
	defer func() { _ = store.Close() }() // only ends the lock
	return slices.Collect(maps.Keys(i.of)), nil
}

// open gives the store, with what all files say if that is not remembered. i.mu
// is held.
func (i *ipam) open() (_ reservations, err error) {
	if err := os.MkdirAll(i.dir, 0o700); err != nil {
		return reservations{}, fmt.Errorf("open address store: %w", err)
	}
	store, err := disk.New("", i.dir)
	if err != nil {
		return reservations{}, fmt.Errorf("open address store: %w", err)
	}
	if i.of == nil {
		if err = i.read(store); err != nil {
			return reservations{}, errors.Join(err, store.Close())
		}
	}
	return reservations{store, i.dir, i.of}, nil
}

func (i *ipam) read(store *disk.Store) (err error) {
	if err := store.Lock(); err != nil {
		return fmt.Errorf("lock the address store: %w", err)
	}
	i.of, err = readHeld(i.dir)
	return errors.Join(err, store.Unlock())
}

// owned returns the address that key has in cidr. Addresses of another range,
// from before a change of the podCIDR, are not returned; release frees them.
func owned(store reservations, key wire.Key, cidr netip.Prefix) (netip.Addr, bool) {
	for _, ip := range store.GetByID(key.ContainerID, key.IfName) {
		if addr, ok := netip.AddrFromSlice(ip); ok && cidr.Contains(addr.Unmap()) {
			return addr.Unmap(), true
		}
	}
	return netip.Addr{}, false
}

// podRange is a range of the node, and the part of it that pods can have.
type podRange struct {
	cidr  netip.Prefix
	hosts allocator.Range
}

// podRanges gives the node's ranges, IPv4 first.
func podRanges(node Node) ([]podRange, error) {
	cidr := node.PodCIDR
	switch {
	case !cidr.IsValid():
		return nil, fmt.Errorf("node %s has no podCIDR: run kube-controller-manager with --allocate-node-cidrs=true and --cluster-cidr (kubeadm: networking.podSubnet), or set the node's spec.podCIDR", node.Name)
	case !cidr.Addr().Is4():
		return nil, fmt.Errorf("node %s's podCIDR %s is not IPv4", node.Name, cidr)
	case cidr.Bits() > minRangeBits:
		return nil, fmt.Errorf("node %s's podCIDR %s has no usable address: it must be a /%d or larger", node.Name, cidr, minRangeBits)
	}
	ranges := []podRange{newRange(cidr)}
	if cidr = node.PodCIDR6; cidr.IsValid() {
		if !cidr.Addr().Is6() || cidr.Bits() != rangeBits6 {
			return nil, fmt.Errorf("node %s's podCIDR %s is not an IPv6 /%d", node.Name, cidr, rangeBits6)
		}
		r := newRange(cidr)
		r.hosts.RangeStart, r.hosts.RangeEnd = host6(cidr, firstHost6), host6(cidr, math.MaxUint32)
		ranges = append(ranges, r)
	}
	for n := range ranges {
		if err := ranges[n].hosts.Canonicalize(); err != nil {
			return nil, fmt.Errorf("node %s's podCIDR %s: %w", node.Name, ranges[n].cidr, err)
		}
	}
	return ranges, nil
}

func newRange(cidr netip.Prefix) podRange {
	cidr = cidr.Masked()
	subnet := net.IPNet{IP: cidr.Addr().AsSlice(), Mask: net.CIDRMask(cidr.Bits(), cidr.Addr().BitLen())}
	return podRange{cidr, allocator.Range{Subnet: types.IPNet(subnet)}}
}

// host6 gives the address of a number in an IPv6 range; the 32 bits between
// are zero, since the tunnel has its own use for them.
func host6(cidr netip.Prefix, number uint32) net.IP {
	a := cidr.Masked().Addr().As16()
	binary.BigEndian.PutUint32(a[12:], number)
	return a[:]
}

func readOwner(path string) (wire.Key, error) {
	file, err := os.Open(path)
	if err != nil {
		return wire.Key{}, err
	}
	defer func() { _ = file.Close() }() // only read
	lines := bufio.NewScanner(file)
	var key wire.Key
	for _, field := range []*string{&key.ContainerID, &key.IfName} {
		if !lines.Scan() {
			return key, errors.New("reservation is cut off")
		}
		*field = strings.TrimSpace(lines.Text())
	}
	return key, key.Validate()
}
