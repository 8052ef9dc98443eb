package harness

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Hooked is what hangs on the host's side of a pod's interface, by the numbers
// that the kernel gives to programs.
type Hooked struct {
	FromPod, ToPod []int
}

// Hooked lists the programs that see the pod's packets, those of links first.
func (p *Pod) Hooked() (h Hooked, err error) {
	p.t.Helper()
	err = p.Node.Try(func() error {
		device, err := netlink.LinkByName(p.HostIf())
		if err != nil {
			return err
		}
		in := ebpf.AttachTCXIngress
		if p.endpoint.Netkit {
			in = ebpf.AttachNetkitPeer
		}
		var inErr, outErr error
		h.FromPod, inErr = programs(device, in, netlink.HANDLE_MIN_INGRESS)
		h.ToPod, outErr = programs(device, ebpf.AttachTCXEgress, netlink.HANDLE_MIN_EGRESS)
		return errors.Join(inErr, outErr)
	})
	return h, err
}

// programs lists those of one side of a device.
func programs(device netlink.Link, links ebpf.AttachType, filters uint32) (ids []int, err error) {
	found, err := link.QueryPrograms(link.QueryOptions{Target: device.Attrs().Index, Attach: links})
	if err != nil && !errors.Is(err, ebpf.ErrNotSupported) && !errors.Is(err, unix.EINVAL) { // before Linux 6.6
		return nil, fmt.Errorf("list the links of %s: %w", device.Attrs().Name, err)
	}
	if found != nil {
		for _, p := range found.Programs {
			ids = append(ids, int(p.ID))
		}
	}
	list, err := netlink.FilterList(device, filters)
	if err != nil {
		return nil, fmt.Errorf("list the filters of %s: %w", device.Attrs().Name, err)
	}
	for _, f := range list {
		if bpf, ok := f.(*netlink.BpfFilter); ok {
			ids = append(ids, bpf.Id)
		}
	}
	return ids, nil
}
