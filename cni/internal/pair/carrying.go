package pair

import (
	"fmt"
	"time"

	"github.com/containernetworking/plugins/pkg/netlinksafe"
	"github.com/containernetworking/plugins/pkg/ns"
	"github.com/vishvananda/netlink"
)

const (
	// carryingTime bounds the wait for the pod's end to carry packets: the kernel's
	// link watch needs the rtnl lock, which others want too.
	carryingTime = 10 * time.Second
	carryingTick = time.Millisecond
)

// awaitCarrying waits until the pod's end carries packets. It was set up before
// the host's and so gets a queue only by the kernel's link watch, later; until
// then what the pod sends is lost, without an error to it (noop_qdisc of
// net/sched/sch_generic.c). Its operational state (RFC 2863) tells: that is set
// with the queue. Since Linux 6.8 asking for it does the link watch's work.
func awaitCarrying(p Plan, pod ns.NetNS) error {
	if err := within(pod, func() error { return carries(p.PodName) }); err != nil {
		return fmt.Errorf("in the pod: %w", err)
	}
	return nil
}

func carries(name string) error {
	for deadline := time.Now().Add(carryingTime); ; time.Sleep(carryingTick) {
		link, err := netlinksafe.LinkByName(name)
		if err != nil {
			return fmt.Errorf("find interface %s: %w", name, err)
		}
		if link.Attrs().OperState == netlink.OperUp {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("interface %s is %s after %s, not up", name, link.Attrs().OperState, carryingTime)
		}
	}
}
