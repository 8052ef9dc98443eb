package harness

import (
	"fmt"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// The token buckets' parameters.
const (
	shapeBurst = 64 << 10 // bytes
	shapeLimit = 1 << 20  // bytes that wait
)

// ShapeIngress limits what the pod receives to rate bytes a second, as the
// bandwidth plugin does: a token bucket at the host's side of its interface.
func (p *Pod) ShapeIngress(rate uint64) {
	p.t.Helper()
	p.Node.Do(func() error { return tokenBucket(p.HostIf(), rate) })
}

// ShapeEgress limits what the pod sends, as the bandwidth plugin does: all
// that comes from its interface passes an IFB device with a token bucket.
func (p *Pod) ShapeEgress(rate uint64) error {
	return p.Node.Try(func() error {
		name := "ifb" + p.Name
		ifb := &netlink.Ifb{LinkAttrs: netlink.LinkAttrs{Name: name, MTU: p.Node.Plan.MTU.Pods}}
		if err := netlink.LinkAdd(ifb); err != nil {
			return fmt.Errorf("create %s: %w", name, err)
		}
		if err := linkUp(name); err != nil {
			return err
		}
		if err := tokenBucket(name, rate); err != nil {
			return err
		}
		return redirect(p.HostIf(), ifb)
	})
}

func tokenBucket(device string, rate uint64) error {
	link, err := netlink.LinkByName(device)
	if err != nil {
		return fmt.Errorf("find %s: %w", device, err)
	}
	return netlink.QdiscAdd(&netlink.Tbf{
		QdiscAttrs: netlink.QdiscAttrs{
			LinkIndex: link.Attrs().Index, Handle: netlink.MakeHandle(1, 0), Parent: netlink.HANDLE_ROOT,
		},
		Rate: rate, Limit: shapeLimit, Buffer: uint32(netlink.Xmittime(rate, shapeBurst)),
	})
}

func redirect(device string, to *netlink.Ifb) error {
	link, err := netlink.LinkByName(device)
	if err != nil {
		return fmt.Errorf("find %s: %w", device, err)
	}
	ingress := &netlink.Ingress{QdiscAttrs: netlink.QdiscAttrs{
		LinkIndex: link.Attrs().Index, Handle: netlink.MakeHandle(0xffff, 0), Parent: netlink.HANDLE_INGRESS,
	}}
	if err := netlink.QdiscAdd(ingress); err != nil {
		return fmt.Errorf("add ingress to %s: %w", device, err)
	}
	return netlink.FilterAdd(&netlink.U32{
		FilterAttrs: netlink.FilterAttrs{
			LinkIndex: link.Attrs().Index, Parent: ingress.Handle, Priority: 1, Protocol: unix.ETH_P_ALL,
		},
		ClassId: netlink.MakeHandle(1, 1),
		Actions: []netlink.Action{netlink.NewMirredAction(to.Attrs().Index)},
	})
}

// HasClsact says whether the programs hang on the host's side of the pod's
// interface by a clsact qdisc, beside which there is no place for another.
func (p *Pod) HasClsact() (has bool) {
	p.t.Helper()
	p.Node.Do(func() error {
		link, err := netlink.LinkByName(p.HostIf())
		if err != nil {
			return err
		}
		qdiscs, err := netlink.QdiscList(link)
		for _, q := range qdiscs {
			has = has || q.Type() == "clsact"
		}
		return err
	})
	return has
}
