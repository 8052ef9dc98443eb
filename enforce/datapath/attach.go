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
}

// AttachPod puts from_pod and to_pod on the host side of a pod's veth. Done
// again, or by a new version, it replaces the programs without a gap. It wraps
// ENODEV if there is no such device (any more).
//
// They are filters of clsact: each tcx link of a device holds the rtnl lock for
// an RCU grace period of 5 to 15 ms when it is attached, and for another when the
// device goes. The bandwidth plugin wants the ingress qdisc for itself, so a
// shaped pod gets links where the kernel has them.
func (d *Datapath) AttachPod(ifindex int, shaped bool) error {
	return d.attachBoth(ifindex, shaped, d.objs.FromPod, "from_pod", d.objs.ToPod, "to_pod")
}

// AttachOverlay puts from_overlay and to_overlay on the WireGuard device.
func (d *Datapath) AttachOverlay(ifindex int) error {
	return d.attachBoth(ifindex, true, d.objs.FromOverlay, "from_overlay", d.objs.ToOverlay, "to_overlay")
}

func (d *Datapath) attachBoth(ifindex int, links bool, in *ebpf.Program, inName string, out *ebpf.Program, outName string) error {
	d.attaching.Lock()
	defer d.attaching.Unlock()
	for _, a := range []attachment{
		{program: out, name: outName, ifindex: ifindex},
		{program: in, name: inName, ifindex: ifindex, ingress: true},
	} {
		if err := d.attach(a, links); err != nil {
			return fmt.Errorf("attach %s to interface %d: %w", a.name, ifindex, err)
		}
	}
	return nil
}

// attach prefers links or filters. A link of before stays one: beside it a
// filter would run, too.
func (d *Datapath) attach(a attachment, links bool) error {
	if d.cfg.ForceClsact {
		return attachClsact(a)
	}
	if updated, err := updatePinned(d.linkPin(a.ifindex, a.name), a); updated || err != nil {
		return err
	}
	if !links {
		return attachClsact(a)
	}
	err := d.attachTCX(a)
	if errors.Is(err, ebpf.ErrNotSupported) {
		return attachClsact(a)
	}
	return err
}

// attachTCX pins the link, so that it outlives the agent.
func (d *Datapath) attachTCX(a attachment) error {
	pin := d.linkPin(a.ifindex, a.name)
	if err := os.MkdirAll(filepath.Dir(pin), 0o700); err != nil {
		return err
	}
	side := ebpf.AttachTCXEgress
	if a.ingress {
		side = ebpf.AttachTCXIngress
	}
	l, err := link.AttachTCX(link.TCXOptions{
		Interface: a.ifindex, Program: a.program, Attach: side, Anchor: link.Head(),
	})
	if err != nil {
		return err
	}
	if err := l.Pin(pin); err != nil {
		return errors.Join(err, l.Close())
	}
	return l.Close()
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
	if tcx := info.TCX(); tcx == nil || int(tcx.Ifindex) != a.ifindex {
		return false, l.Unpin()
	}
	return true, l.Update(a.program)
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
