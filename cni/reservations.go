package cni

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"

	"github.com/containernetworking/plugins/plugins/ipam/host-local/backend"
	"github.com/containernetworking/plugins/plugins/ipam/host-local/backend/disk"

	"github.com/signet-cni/signet/cni/internal/wire"
)

// held are the addresses that interfaces have.
type held map[wire.Key][]netip.Addr

// reservations is host-local's store, less its searches: for each start and end
// of a pod it reads the files of all others, several times. What is remembered
// says where to look; the files decide.
type reservations struct {
	*disk.Store
	dir string
	of  held
}

var _ backend.Store = reservations{}

// Reserve implements backend.Store.
func (r reservations) Reserve(id, ifname string, ip net.IP, rangeID string) (bool, error) {
	reserved, err := r.Store.Reserve(id, ifname, ip, rangeID)
	if addr, ok := netip.AddrFromSlice(ip); ok && reserved {
		key := wire.Key{ContainerID: id, IfName: ifname}
		r.of[key] = append(r.of[key], addr.Unmap())
	}
	return reserved, err
}

// GetByID implements backend.Store.
func (r reservations) GetByID(id, ifname string) []net.IP {
	key := wire.Key{ContainerID: id, IfName: ifname}
	var ips []net.IP
	for _, addr := range r.of[key] {
		if owner, err := readOwner(r.path(addr)); err == nil && owner == key {
			ips = append(ips, addr.AsSlice())
		}
	}
	return ips
}

// ReleaseByID implements backend.Store. What it fails to remove is remembered.
func (r reservations) ReleaseByID(id, ifname string) error {
	key := wire.Key{ContainerID: id, IfName: ifname}
	var errs []error
	r.of[key] = slices.DeleteFunc(r.of[key], func(addr netip.Addr) bool {
		err := r.remove(key, addr)
		errs = append(errs, err)
		return err == nil
	})
	if len(r.of[key]) == 0 {
		delete(r.of, key)
	}
	return errors.Join(errs...)
}

// remove frees an address unless another interface has it by now.
func (r reservations) remove(key wire.Key, addr netip.Addr) error {
	owner, err := readOwner(r.path(addr))
	if errors.Is(err, fs.ErrNotExist) || err == nil && owner != key {
		return nil
	}
	return os.Remove(r.path(addr))
}

func (r reservations) path(addr netip.Addr) string { return filepath.Join(r.dir, addr.String()) }

// readHeld reads all reservations. Files that are none, or whose owner is
// malformed, are removed: nothing could release them. The store's lock is held:
// a reservation that is being written looks malformed too.
func readHeld(dir string) (held, error) {
	files, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("list reserved addresses: %w", err)
	}
	of := held{}
	for _, f := range files {
		addr, err := netip.ParseAddr(f.Name())
		if err != nil {
			continue // the lock, the last address
		}
		path := filepath.Join(dir, f.Name())
		key, err := readOwner(path)
		if err == nil {
			of[key] = append(of[key], addr.Unmap())
		} else if err := os.Remove(path); err != nil {
			return nil, fmt.Errorf("remove malformed reservation: %w", err)
		}
	}
	return of, nil
}
