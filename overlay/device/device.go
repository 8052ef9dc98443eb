// Package device makes a node's WireGuard device match a plan. Where the kernel
// has WireGuard the device is the kernel's; elsewhere it is a persistent TUN
// device that the process signet-wg serves. Both take the same configuration.
//
// Everything is compared first and only differences are written, so that
// Configure may be called at any time and never disturbs a live session.
package device

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
	"golang.zx2c4.com/wireguard/wgctrl"
	"golang.zx2c4.com/wireguard/wgctrl/wgtypes"

	"github.com/signet-cni/signet/overlay"
)

// Kind says who implements a device.
type Kind string

// The kinds of device.
const (
	Kernel    Kind = "kernel"
	Userspace Kind = "userspace"
)

// Errors on which a caller branches.
var (
	ErrNoKernel = errors.New("the kernel has no WireGuard")
	ErrNoDevice = errors.New("no such device")
	// ErrOtherIndex: what knows the device by its index does not know it now.
	ErrOtherIndex = errors.New("the device has got another index")
)

// pollInterval is how often Ensure looks for the userspace device.
const pollInterval = 100 * time.Millisecond

// Device is one WireGuard device of this network namespace. It is not safe for
// concurrent use.
type Device struct {
	name      string
	kind      Kind
	index     int                    // of the network device
	endpoints map[wgtypes.Key]string // as last written, see endpointDue
}

// Name is the device's name.
func (d *Device) Name() string { return d.name }

// Kind says who implements the device.
func (d *Device) Kind() Kind { return d.kind }

// Ensure finds the device, or creates it with the given MTU in bytes if the
// kernel has WireGuard. If it has not, Ensure waits until ctx ends for the
// userspace device to appear and to answer. An existing device is used as it
// is, and one of another type is an error.
func Ensure(ctx context.Context, name string, mtu int) (*Device, error) {
	d := &Device{name: name, endpoints: map[wgtypes.Key]string{}}
	if err := d.Restore(ctx, mtu); err != nil {
		return nil, err
	}
	return d, nil
}

// Index is the network device's. It stays when the device is made anew.
func (d *Device) Index() int { return d.index }

// Restore is Ensure for a device that was found before and may have been
// removed since. It gets its old index back, by which the datapath knows it.
func (d *Device) Restore(ctx context.Context, mtu int) error {
	kind, err := open(d.name, mtu, d.index)
	if err != nil && !errors.Is(err, ErrNoKernel) {
		return err
	}
	if kind != Kernel {
		kind = Userspace
		if err := await(ctx, d.name); err != nil {
			return err
		}
	}
	link, err := findLink(d.name)
	if err != nil {
		return err
	}
	if d.index != 0 && d.index != link.Attrs().Index {
		return fmt.Errorf("device %s: %w: %d, it had %d", d.name, ErrOtherIndex, link.Attrs().Index, d.index)
	}
	d.kind, d.index = kind, link.Attrs().Index
	return nil
}

// await waits for signet-wg to serve the device.
func await(ctx context.Context, name string) error {
	for {
		err := answers(name)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the kernel has no WireGuard and signet-wg is not running: %w", err)
		case <-time.After(pollInterval):
		}
	}
}

// Open reports the kind of an existing device, or creates a kernel device.
// Both the agent and signet-wg start with it and cannot disagree: the kernel
// lets only one of them create the name. ErrNoKernel means that there is no
// device and the kernel cannot make one. The MTU in bytes counts for a new
// device only.
func Open(name string, mtu int) (Kind, error) { return open(name, mtu, 0) }

func open(name string, mtu, index int) (Kind, error) {
	if err := overlay.CheckDeviceName(name); err != nil {
		return "", err
	}
	kind, err := kindOf(name)
	if !errors.Is(err, ErrNoDevice) {
		return kind, err
	}
	attrs := netlink.NewLinkAttrs() // a literal would ask for a queue of length 0
	attrs.Name, attrs.MTU, attrs.Index = name, mtu, index
	err = netlink.LinkAdd(&netlink.Wireguard{LinkAttrs: attrs})
	switch {
	case err == nil:
		return Kernel, nil
	case errors.Is(err, unix.EEXIST): // somebody was faster
		return kindOf(name)
	case errors.Is(err, unix.EOPNOTSUPP):
		return "", ErrNoKernel
	default:
		return "", fmt.Errorf("create WireGuard device %s: %w", name, err)
	}
}

func kindOf(name string) (Kind, error) {
	link, err := findLink(name)
	if err != nil {
		return "", err
	}
	switch l := link.(type) {
	case *netlink.Wireguard:
		return Kernel, nil
	case *netlink.Tuntap:
		if l.Mode == netlink.TUNTAP_MODE_TUN {
			return Userspace, nil
		}
	}
	return "", fmt.Errorf("device %s is of type %s, neither WireGuard nor TUN: remove or rename it", name, link.Type())
}

// answers reports whether the userspace device exists and its process replies.
func answers(name string) error {
	if _, err := findLink(name); err != nil {
		return err
	}
	_, err := query(name)
	return err
}

// query reads the device's WireGuard state.
func query(name string) (*wgtypes.Device, error) {
	client, err := wgctrl.New()
	if err != nil {
		return nil, fmt.Errorf("open WireGuard control: %w", err)
	}
	defer client.Close()
	state, err := client.Device(name)
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("nothing serves WireGuard device %s: %w", name, err)
	}
	if err != nil {
		return nil, fmt.Errorf("read WireGuard device %s: %w", name, err)
	}
	return state, nil
}

func findLink(name string) (netlink.Link, error) {
	link, err := retry(func() (netlink.Link, error) { return netlink.LinkByName(name) })
	var notFound netlink.LinkNotFoundError
	if errors.As(err, &notFound) {
		return nil, fmt.Errorf("find device %s: %w", name, ErrNoDevice)
	}
	if err != nil {
		return nil, fmt.Errorf("find device %s: %w", name, err)
	}
	return link, nil
}

// dumpAttempts bounds retry.
const dumpAttempts = 10

// retry repeats a netlink dump that a concurrent change interrupted: its
// result is incomplete and must not be compared with anything.
func retry[T any](dump func() (T, error)) (result T, err error) {
	for range dumpAttempts {
		result, err = dump()
		if !errors.Is(err, netlink.ErrDumpInterrupted) && !errors.Is(err, unix.EINTR) {
			return result, err
		}
	}
	return result, err
}
