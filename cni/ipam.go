package cni

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	"github.com/containernetworking/cni/pkg/types"
	"github.com/containernetworking/plugins/plugins/ipam/host-local/backend/allocator"
	"github.com/containernetworking/plugins/plugins/ipam/host-local/backend/disk"

	"github.com/signet-cni/signet/cni/internal/wire"
)

// ipam hands out the addresses of the node's pod range with host-local's
// allocator: one file an address in dir, round robin. Every call opens the
// store anew, since its file lock holds only between open files.
type ipam struct {
	dir string
}

const (
	minRangeBits = 30 // the smallest range that has a usable address
	// claimedRange keeps claims out of the round robin of range 0.
	claimedRange = "claimed"
)

// allocate reserves an address of the node's pod range for key, or returns
// the one that key has. The range's first two addresses and its last are
// never handed out.
func (i ipam) allocate(key wire.Key, node Node) (netip.Addr, error) {
	r, err := podRange(node)
	if err != nil {
		return netip.Addr{}, err
	}
	store, err := i.open()
	if err != nil {
		return netip.Addr{}, err
	}
	defer func() { _ = store.Close() }() // only ends the lock
	if addr, ok := i.owned(store, key, node.PodCIDR); ok {
		return addr, nil
	}
	a := allocator.NewIPAllocator(&allocator.RangeSet{*r}, store, 0)
	got, err := a.Get(key.ContainerID, key.IfName, nil)
	if err != nil {
		// A half-written reservation must not stay.
		err = errors.Join(err, a.Release(key.ContainerID, key.IfName))
		return netip.Addr{}, fmt.Errorf("no address for the pod in node %s's podCIDR %s: %w", node.Name, node.PodCIDR, err)
	}
	addr, ok := netip.AddrFromSlice(got.Address.IP)
	if !ok {
		return netip.Addr{}, fmt.Errorf("allocator returned the address %v", got.Address.IP)
	}
	return addr.Unmap(), nil
}

// claim makes sure that addr is reserved for key, whichever range it is from.
func (i ipam) claim(key wire.Key, addr netip.Addr) error {
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
func (i ipam) release(key wire.Key) error {
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

// owners returns whoever holds an address. Files that are no reservations, or
// whose owner is malformed, are removed: nothing could release them.
//
// It holds the store's lock: a reservation that is being written looks
// malformed too.
func (i ipam) owners() ([]wire.Key, error) {
	store, err := i.open()
	if err != nil {
		return nil, err
	}
	defer func() { _ = store.Close() }() // only ends the lock
	if err := store.Lock(); err != nil {
		return nil, fmt.Errorf("lock the address store: %w", err)
	}
	files, err := os.ReadDir(i.dir)
	if err != nil {
		return nil, fmt.Errorf("list reserved addresses: %w", err)
	}
	var keys []wire.Key
	for _, f := range files {
		if net.ParseIP(f.Name()) == nil {
			continue // the lock, the last address
		}
		path := filepath.Join(i.dir, f.Name())
		key, err := readOwner(path)
		if err == nil {
			keys = append(keys, key)
		} else if err := os.Remove(path); err != nil {
			return nil, fmt.Errorf("remove malformed reservation: %w", err)
		}
	}
	return keys, nil
}

func (i ipam) open() (*disk.Store, error) {
	if err := os.MkdirAll(i.dir, 0o700); err != nil {
		return nil, fmt.Errorf("open address store: %w", err)
	}
	store, err := disk.New("", i.dir)
	if err != nil {
		return nil, fmt.Errorf("open address store: %w", err)
	}
	return store, nil
}

// owned returns the address that key has in cidr. Addresses of another range,
// from before a change of the podCIDR, are not returned; release frees them.
func (i ipam) owned(store *disk.Store, key wire.Key, cidr netip.Prefix) (netip.Addr, bool) {
	for _, ip := range store.GetByID(key.ContainerID, key.IfName) {
		if addr, ok := netip.AddrFromSlice(ip); ok && cidr.Contains(addr.Unmap()) {
			return addr.Unmap(), true
		}
	}
	return netip.Addr{}, false
}

func podRange(node Node) (*allocator.Range, error) {
	cidr := node.PodCIDR
	switch {
	case !cidr.IsValid():
		return nil, fmt.Errorf("node %s has no podCIDR: run kube-controller-manager with --allocate-node-cidrs=true and --cluster-cidr (kubeadm: networking.podSubnet), or set the node's spec.podCIDR", node.Name)
	case !cidr.Addr().Is4():
		return nil, fmt.Errorf("node %s's podCIDR %s is not IPv4", node.Name, cidr)
	case cidr.Bits() > minRangeBits:
		return nil, fmt.Errorf("node %s's podCIDR %s has no usable address: it must be a /%d or larger", node.Name, cidr, minRangeBits)
	}
	subnet := net.IPNet{IP: cidr.Masked().Addr().AsSlice(), Mask: net.CIDRMask(cidr.Bits(), 32)}
	r := &allocator.Range{Subnet: types.IPNet(subnet)}
	if err := r.Canonicalize(); err != nil {
		return nil, fmt.Errorf("node %s's podCIDR %s: %w", node.Name, cidr, err)
	}
	return r, nil
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
