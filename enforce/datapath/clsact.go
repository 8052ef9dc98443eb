package datapath

import (
	"fmt"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// clsactPriority puts Signet's filter before those of chained plugins.
const clsactPriority = 1

// attachClsact makes a filter on the clsact qdisc, which lives as long as the
// device. Replacing it is atomic.
func attachClsact(a attachment) error {
	if err := ensureClsact(a.ifindex); err != nil {
		return fmt.Errorf("add clsact: %w", err)
	}
	parent := uint32(netlink.HANDLE_MIN_EGRESS)
	if a.ingress {
		parent = netlink.HANDLE_MIN_INGRESS
	}
	return netlink.FilterReplace(&netlink.BpfFilter{
		FilterAttrs: netlink.FilterAttrs{
			LinkIndex: a.ifindex,
			Parent:    parent,
			Handle:    1,
			Priority:  clsactPriority,
			Protocol:  unix.ETH_P_ALL,
		},
		Fd:           a.program.FD(),
		Name:         "signet_" + a.name,
		DirectAction: true,
	})
}

func ensureClsact(ifindex int) error {
	return netlink.QdiscReplace(&netlink.Clsact{QdiscAttrs: netlink.QdiscAttrs{
		LinkIndex: ifindex,
		Handle:    netlink.MakeHandle(0xffff, 0),
		Parent:    netlink.HANDLE_CLSACT,
	}})
}
