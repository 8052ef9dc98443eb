package device

import (
	"context"
	"fmt"
	"slices"

	"github.com/vishvananda/netlink"
)

// Watch pokes the returned channel when anything about the link of a device
// that names gives changes: it appears or goes, up or down, MTU, and
// signet-wg's attaching after a restart, upon which Configure has everything to
// restore. Pokes that nobody fetched merge into one. The channel is closed when
// ctx ends or the kernel reports too fast; then call Watch again, and Configure
// after it.
func Watch(ctx context.Context, names func() []string) (<-chan struct{}, error) {
	updates := make(chan netlink.LinkUpdate)
	if err := netlink.LinkSubscribe(updates, ctx.Done()); err != nil {
		return nil, fmt.Errorf("watch devices: %w", err)
	}
	pokes := make(chan struct{}, 1)
	go func() {
		defer close(pokes)
		for u := range updates {
			if !slices.Contains(names(), u.Link.Attrs().Name) {
				continue
			}
			select {
			case pokes <- struct{}{}:
			default:
			}
		}
	}()
	return pokes, nil
}

// WatchAddresses pokes the returned channel when this namespace gets or loses
// an address that packets can leave from. It ends as Watch does.
func WatchAddresses(ctx context.Context) (<-chan struct{}, error) {
	updates := make(chan netlink.AddrUpdate)
	if err := netlink.AddrSubscribe(updates, ctx.Done()); err != nil {
		return nil, fmt.Errorf("watch addresses: %w", err)
	}
	pokes := make(chan struct{}, 1)
	go func() {
		defer close(pokes)
		for u := range updates {
			if !u.LinkAddress.IP.IsGlobalUnicast() {
				continue
			}
			select {
			case pokes <- struct{}{}:
			default:
			}
		}
	}()
	return pokes, nil
}
