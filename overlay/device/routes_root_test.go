package device_test

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/signet-cni/signet/overlay"
)

// TestRoutes follows the cluster range as the device goes down and comes back.
func TestRoutes(t *testing.T) {
	a := newCluster(t, 1)[0]
	remote := netip.MustParseAddr("10.244.9.9")
	a.configure()
	inTunnel := "signet0 from " + a.address.String()
	expect := func(want string) {
		t.Helper()
		a.do(func() error {
			if got := routeTo(remote); !strings.Contains(got, want) {
				t.Errorf("route to %s: %s, want %s", remote, got, want)
			}
			return nil
		})
	}
	setLink := func(set func(netlink.Link) error) {
		t.Helper()
		a.do(func() error {
			link, err := netlink.LinkByName(overlay.DefaultDevice)
			if err != nil {
				return err
			}
			return set(link)
		})
	}
	expect(inTunnel)
	setLink(netlink.LinkSetDown)
	expect("no route to host")
	if changes := a.configure(); len(changes.System) != 2 { // up, route
		t.Errorf("after link down Configure changed %+v", changes)
	}
	expect(inTunnel)

	// A route that was left by an earlier configuration goes, a foreign one stays.
	a.do(func() error {
		for _, r := range []struct {
			dst      string
			protocol netlink.RouteProtocol
		}{{"10.7.0.0/16", 0x51}, {"10.8.0.0/16", unix.RTPROT_STATIC}} {
			_, dst, _ := netParse(r.dst)
			if err := netlink.RouteAdd(&netlink.Route{Dst: dst, Type: unix.RTN_UNREACHABLE, Protocol: r.protocol}); err != nil {
				return err
			}
		}
		return nil
	})
	if got := a.configure().System; len(got) != 1 || !strings.Contains(got[0], "10.7.0.0/16") {
		t.Errorf("stale route: changed %q", got)
	}

	// Somebody else's route of the same range is an error, not overwritten.
	a.do(func() error {
		_, dst, _ := netParse("10.244.0.0/16")
		eth0, err := netlink.LinkByName("eth0")
		if err != nil {
			return err
		}
		return netlink.RouteReplace(&netlink.Route{Dst: dst, LinkIndex: eth0.Attrs().Index, Protocol: unix.RTPROT_STATIC})
	})
	want := a.desired()
	err := a.try(func() error { _, err := a.device.Configure(want); return err })
	if err == nil || !strings.Contains(err.Error(), "not Signet's") {
		t.Errorf("foreign route: got %v", err)
	}
}

func TestAddressFollowsNode(t *testing.T) {
	a := newCluster(t, 1)[0]
	a.configure()
	moved := netip.MustParseAddr("192.0.2.77")
	a.do(func() error { return addAddress("eth0", netip.PrefixFrom(moved, 32)) })
	a.public.Addresses = []netip.Addr{moved}
	a.configure()
	a.do(func() error {
		link, err := netlink.LinkByName(overlay.DefaultDevice)
		if err != nil {
			return err
		}
		addrs, err := netlink.AddrList(link, netlink.FAMILY_V4)
		if err != nil || len(addrs) != 1 || addrs[0].IP.String() != moved.String() {
			t.Errorf("addresses %v, %v, want %s", addrs, err, moved)
		}
		if got := routeTo(netip.MustParseAddr("10.244.9.9")); got != "signet0 from "+moved.String() {
			t.Errorf("route %s", got)
		}
		return nil
	})
}
