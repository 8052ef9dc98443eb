package harness

import (
	"errors"
	"path/filepath"
	"strconv"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/signet-cni/signet/cni"
)

// RequireNetkit skips the test if, and only if, the kernel has no netkit.
func RequireNetkit(t interface {
	TB
	Skipf(format string, args ...any)
},
) {
	t.Helper()
	Require(t)
	err := cni.ProbeNetkit()
	if errors.Is(err, unix.EOPNOTSUPP) {
		t.Skipf("the kernel has no netkit: %v", err)
	}
	if err != nil {
		t.Fatalf("netkit: %v", err)
	}
}

// RestartCNI ends the agent's side of the plugin and starts it again, with
// another choice of the device that new pods get.
func (n *Node) RestartCNI(netkit bool) {
	n.t.Helper()
	n.cni.stop()
	n.cluster.options.Netkit = netkit
	n.cni = newCNISide(n)
}

// RefusePods lets every attachment of a pod fail with err once its hooks and its
// identity are in force; nil: no more.
func (n *Node) RefusePods(err error) { n.cni.refusal = err }

// Device is the host's end of the pod's interface pair.
func (p *Pod) Device() (device netlink.Link) {
	p.t.Helper()
	p.Node.Do(func() (err error) {
		device, err = netlink.LinkByIndex(p.endpoint.HostIfIndex)
		return err
	})
	return device
}

// Remains lists what there is on the node of a pod that should be gone: its
// interface, pinned links, addresses in the kernel, and what the agent knows.
func (p *Pod) Remains() (left []string) {
	p.t.Helper()
	n := p.Node
	n.Do(func() error {
		if _, err := netlink.LinkByName(p.HostIf()); err == nil {
			left = append(left, p.HostIf())
		}
		pins, err := filepath.Glob(filepath.Join(n.pinPath(), "links", strconv.Itoa(p.endpoint.HostIfIndex)+"-*"))
		left = append(left, pins...)
		return err
	})
	for _, addr := range p.endpoint.Addrs() {
		if _, ok := n.Datapath.Endpoints()[addr]; ok {
			left = append(left, addr.String())
		}
	}
	for _, ep := range n.cni.manager.Endpoints() {
		if ep.HostIfName == p.HostIf() {
			left = append(left, "the endpoint")
		}
	}
	return left
}
