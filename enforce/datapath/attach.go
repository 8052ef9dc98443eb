package datapath

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
)

// MarkUntracked is the mark of packets that connection tracking must not
// follow: it would see one direction of their flow only.
const MarkUntracked = uint32(bpfMarkMARK_UNTRACKED)

// attachment is one program on one side of one device.
type attachment struct {
	program *ebpf.Program
	name    string
	ifindex int
	ingress bool
	way     way
}

// PodDevice is the host's end of a pod's interface pair.
type PodDevice struct {
	IfIndex int
	Shaped  bool // the bandwidth plugin limits the pod
	Netkit  bool // a netkit device, not a veth
}

// way is how a program is attached.
type way int

const (
	byFilter way = iota // of clsact
	byLink              // of tcx, where the kernel has it (Linux 6.6)
	byNetkit            // to the pod's end of a netkit pair
)

// AttachPod puts from_pod and to_pod on a pod's interface. Done again, or by a
// new version, it replaces the programs without a gap. It wraps ENODEV if there
// is no such device (any more).
//
// They are filters of clsact: each tcx link of a device holds the rtnl lock for
// an RCU grace period of 5 to 15 ms when it is attached, and for another when the
// device goes. The bandwidth plugin wants the ingress qdisc for itself, so a
// shaped pod gets links where the kernel has them. A netkit pair has from_pod
// where the pod sends; to_pod asks which way a packet came, which netkit's own
// hook is not told.
func (d *Datapath) AttachPod(pod PodDevice) error {
	out, in := byFilter, byFilter
	switch {
	case pod.Netkit:
		in = byNetkit
	case pod.Shaped:
		out, in = byLink, byLink
	}
	return d.attachBoth(
		attachment{program: d.objs.ToPod, name: "to_pod", ifindex: pod.IfIndex, way: out},
		attachment{program: d.objs.FromPod, name: "from_pod", ifindex: pod.IfIndex, way: in, ingress: true})
}

// AttachOverlay puts from_overlay and to_overlay on the WireGuard device.
func (d *Datapath) AttachOverlay(ifindex int) error {
	return d.attachBoth(
		attachment{program: d.objs.ToOverlay, name: "to_overlay", ifindex: ifindex, way: byLink},
		attachment{program: d.objs.FromOverlay, name: "from_overlay", ifindex: ifindex, way: byLink, ingress: true})
}

func (d *Datapath) attachBoth(out, in attachment) error {
	d.attaching.Lock()
	defer d.attaching.Unlock()
	for _, a := range []attachment{out, in} {
		if err := d.attach(a); err != nil {
			return fmt.Errorf("attach %s to interface %d: %w", a.name, a.ifindex, err)
		}
	}
	return nil
}

// attach does as a.way says. A link of before stays one: beside it a filter
// would run, too.
func (d *Datapath) attach(a attachment) error {
	if d.cfg.ForceClsact && a.way != byNetkit {
		return attachClsact(a)
	}
	if updated, err := updatePinned(d.linkPin(a.ifindex, a.name), a); updated || err != nil {
		return err
	}
	if a.way == byFilter {
		return attachClsact(a)
	}
	err := d.attachLink(a)
	if a.way == byLink && errors.Is(err, ebpf.ErrNotSupported) {
		return attachClsact(a)
	}
	return err
}

// attachLink pins the link, so that it outlives the agent.
func (d *Datapath) attachLink(a attachment) error {
	pin := d.linkPin(a.ifindex, a.name)
	if err := os.MkdirAll(filepath.Dir(pin), 0o700); err != nil {
		return err
	}
	l, err := a.link()
	if err != nil {
		return err
	}
	if err := l.Pin(pin); err != nil {
		return errors.Join(err, l.Close())
	}
	return l.Close()
}

// link attaches the program before those of others.
func (a attachment) link() (link.Link, error) {
	if a.way == byNetkit {
		return link.AttachNetkit(link.NetkitOptions{
			Interface: a.ifindex, Program: a.program, Attach: ebpf.AttachNetkitPeer, Anchor: link.Head(),
		})
	}
	side := ebpf.AttachTCXEgress
	if a.ingress {
		side = ebpf.AttachTCXIngress
	}
	return link.AttachTCX(link.TCXOptions{
		Interface: a.ifindex, Program: a.program, Attach: side, Anchor: link.Head(),
	})
}

// updatePinned swaps the program of a pinned link. A link whose device is
// gone is removed; its index may have been given to another device since.
func updatePinned(pin string, a attachment) (updated bool, err error) {
	l, err := link.LoadPinnedLink(pin, nil)
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("open pinned link %s: %w", pin, err)
	}
	defer func() { err = errors.Join(err, l.Close()) }()
	info, err := l.Info()
	if err != nil {
		return false, fmt.Errorf("read pinned link %s: %w", pin, err)
	}
	if !holds(info, a.ifindex) {
		return false, l.Unpin()
	}
	return true, l.Update(a.program)
}

// holds says whether a link that was pinned for the device of this index still
// is attached to it. netkit tells the index of the pod's end, in the pod's
// namespace: while that is there the host's end, and its index, is the same.
func holds(info *link.Info, ifindex int) bool {
	if tcx := info.TCX(); tcx != nil {
		return int(tcx.Ifindex) == ifindex
	}
	netkit := info.Netkit()
	return netkit != nil && netkit.Ifindex != 0
}

func (d *Datapath) linkPin(ifindex int, name string) string {
	return filepath.Join(d.cfg.PinPath, "links", strconv.Itoa(ifindex)+"-"+name)
}

// Detach removes the pins of an interface that is going away; the kernel
// drops the attachments with the device.
func (d *Datapath) Detach(ifindex int) error {
	var errs error
	for _, name := range []string{"from_pod", "to_pod", "from_overlay", "to_overlay"} {
		if err := os.Remove(d.linkPin(ifindex, name)); err != nil && !errors.Is(err, os.ErrNotExist) {
			errs = errors.Join(errs, err)
		}
	}
	return errs
}

// DetachStale removes the pins of interfaces that keep does not name. It calls
// keep after it has listed the pins: an interface that is attached meanwhile
// is safe.
func (d *Datapath) DetachStale(keep func() map[int]bool) error {
	pins, err := os.ReadDir(filepath.Join(d.cfg.PinPath, "links"))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("list pinned links: %w", err)
	}
	var errs error
	kept := keep()
	for _, pin := range pins {
		index, _, _ := strings.Cut(pin.Name(), "-")
		if n, err := strconv.Atoi(index); err == nil && !kept[n] {
			errs = errors.Join(errs, d.Detach(n))
		}
	}
	return errs
}
