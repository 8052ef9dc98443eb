package pair

import (
	"fmt"
	"net"
	"runtime"

	"github.com/containernetworking/plugins/pkg/ns"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// netkit is the request for a pair of netkit devices. What the pod sends is
// dropped while its end has no program. The host's end is guarded by a filter,
// as a veth's is: netkit's own hook there is not told which way a packet came.
// They have Ethernet headers, so that the programs are those of veth devices.
// Marks and priorities do not pass between namespaces.
func netkit(attrs netlink.LinkAttrs, p Plan, pod ns.NetNS) *netlink.Netkit {
	peer := netlink.NewLinkAttrs()
	peer.Name = p.PodName
	peer.MTU = p.MTU
	peer.HardwareAddr = p.PodMAC
	peer.Namespace = netlink.NsFd(int(pod.Fd()))
	pair := &netlink.Netkit{
		LinkAttrs: attrs, Mode: netlink.NETKIT_MODE_L2,
		Policy: netlink.NETKIT_POLICY_FORWARD, PeerPolicy: netlink.NETKIT_POLICY_BLACKHOLE,
		Scrub: netlink.NETKIT_SCRUB_DEFAULT, PeerScrub: netlink.NETKIT_SCRUB_DEFAULT,
	}
	pair.SetPeerAttrs(&peer)
	return pair
}

// ProbeNetkit makes a netkit pair in a network namespace that ends with it. It
// wraps EOPNOTSUPP if the kernel has no netkit (Linux 6.7).
func ProbeNetkit() error {
	failed := make(chan error)
	go func() {
		runtime.LockOSThread() // for good: the thread and its namespace end here
		failed <- probeNetkit()
	}()
	return <-failed
}

func probeNetkit() error {
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("make a network namespace: %w", err)
	}
	own, err := ns.GetCurrentNS()
	if err != nil {
		return err
	}
	defer func() { _ = own.Close() }() // a file descriptor of this process
	err = add(Plan{
		HostName: "host", PodName: "pod", Netkit: true, MTU: minIPv6MTU,
		HostMAC: net.HardwareAddr{2, 0, 0, 0, 0, 1}, PodMAC: net.HardwareAddr{2, 0, 0, 0, 0, 2},
	}, own)
	if err != nil {
		return fmt.Errorf("create a netkit pair: %w", err)
	}
	return nil
}
