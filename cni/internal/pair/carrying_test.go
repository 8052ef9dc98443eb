package pair

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"testing"

	"github.com/containernetworking/plugins/pkg/netlinksafe"
	"github.com/containernetworking/plugins/pkg/ns"
	"github.com/vishvananda/netlink"
)

// Whoever sends as soon as the pair is open, the pod or its node, loses nothing,
// however many others want the rtnl lock.
func TestOpenCarries(t *testing.T) {
	needNamespaces(t) // here: others are made in goroutines
	plan := vethPlan
	plan.Addresses = []Address{{
		Addr: netip.MustParseAddr("10.0.0.2"), Gateway: netip.MustParseAddr("169.254.7.1"),
		NodeAddr: netip.MustParseAddr("10.0.0.1"),
	}}
	defer contend(t)()
	for range 30 {
		inNewNamespaces(t, func(pod ns.NetNS) {
			if err := openNew(plan, pod); err != nil {
				t.Error(err)
				return
			}
			wantSent(t, plan.HostName, "10.0.0.2:9")
			if err := within(pod, func() error { wantSent(t, plan.PodName, "10.0.0.1:9"); return nil }); err != nil {
				t.Error(err)
			}
		})
	}
}

// openNew makes a pair in the calling thread's namespace, whose address is the
// node's, and opens it.
func openNew(plan Plan, pod ns.NetNS) error {
	lo, err := netlinksafe.LinkByName("lo")
	if err != nil {
		return err
	}
	if err := netlink.LinkSetUp(lo); err != nil {
		return err
	}
	if err := netlink.AddrAdd(lo, &netlink.Addr{IPNet: hostNet(plan.Addresses[0].NodeAddr)}); err != nil {
		return err
	}
	index, err := Create(plan, pod)
	if err != nil {
		return err
	}
	return Open(plan, index, pod)
}

// wantSent sends a datagram, and looks whether the interface dropped it.
func wantSent(t *testing.T, ifName, to string) {
	conn, err := net.Dial("udp", to)
	if err != nil {
		t.Error(err)
		return
	}
	defer conn.Close()
	if _, err := conn.Write([]byte("first")); err != nil {
		t.Errorf("send by %s: %v", ifName, err)
	}
	link, err := netlinksafe.LinkByName(ifName)
	if err != nil {
		t.Error(err)
		return
	}
	if s := link.Attrs().Statistics; s.TxPackets == 0 || s.TxDropped != 0 {
		t.Errorf("%s sent %d packets and dropped %d", ifName, s.TxPackets, s.TxDropped)
	}
}

// contend makes and removes interfaces, each of which takes the rtnl lock, until
// stop is called.
func contend(t *testing.T) (stop func()) {
	end := make(chan struct{})
	var running sync.WaitGroup
	for i := range 8 {
		running.Go(func() {
			inNewNamespaces(t, func(ns.NetNS) {
				for {
					select {
					case <-end:
						return
					default:
					}
					if err := addAndDelete(fmt.Sprintf("other%d", i)); err != nil {
						t.Error(err)
						return
					}
				}
			})
		})
	}
	return func() {
		close(end)
		running.Wait()
	}
}

func addAndDelete(name string) error {
	attrs := netlink.NewLinkAttrs()
	attrs.Name = name
	veth := netlink.NewVeth(attrs)
	veth.PeerName = "peer"
	return errors.Join(netlink.LinkAdd(veth), netlink.LinkDel(veth))
}
