package cni_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/containernetworking/plugins/pkg/netlinksafe"
	"github.com/vishvananda/netlink"

	"github.com/signet-cni/signet/cni"
)

func TestAdd(t *testing.T) {
	a := startAgent(t, "198.18.1.0/24")
	p := newPod(t, a, "vip")
	p.extra = map[string]any{"runtimeConfig": map[string]any{"bandwidth": map[string]int{"egressRate": 8000, "egressBurst": 100}}}
	result, stdout := p.add(t)
	name := key(p.id).HostIfName()
	t.Run("result", func(t *testing.T) {
		want := fmt.Sprintf(`"cniVersion": "1.1.0"|"name": "%s"|"mac": "%s"|"sandbox": "%s"|"address": "198.18.1.2/32"|"gateway": "169.254.7.1"|"dst": "0.0.0.0/0"|"interface": 1`,
			name, key(p.id).PodMAC(), p.netns.Path())
		for part := range strings.SplitSeq(want, "|") {
			if !strings.Contains(stdout, part) {
				t.Errorf("%s lacks %s", stdout, part)
			}
		}
		if len(result.Interfaces) != 2 || result.Interfaces[0].Sandbox != "" || len(result.IPs) != 1 {
			t.Errorf("result %s", stdout)
		}
	})
	t.Run("endpoint", func(t *testing.T) { checkEndpoint(t, a, p) })
	t.Run("pod side", func(t *testing.T) { p.inside(t, func() error { return podSide(t, key(p.id).HostMAC().String()) }) })
	t.Run("host side", func(t *testing.T) { hostSide(t, name) })
	t.Run("traffic", func(t *testing.T) {
		if err := errors.Join(p.podToHost(), p.hostToPod(netip.MustParseAddr("198.18.1.2"))); err != nil {
			t.Error(err)
		}
	})
	p.do("DEL").wantOK(t)
	a.wantNothing(t)
	if got := p.links(t); len(got) != 1 {
		t.Errorf("interfaces %v left in the pod", got)
	}
}

func checkEndpoint(t *testing.T, a *agent, p *pod) {
	eps := a.manager.Endpoints()
	if len(eps) != 1 {
		t.Fatalf("endpoints %v", eps)
	}
	link, err := netlinksafe.LinkByName(key(p.id).HostIfName())
	if err != nil {
		t.Fatal(err)
	}
	ep := eps[0]
	ok := ep.ContainerID == p.id && ep.IfName == "eth0" && ep.Namespace == "concert" && ep.Pod == "vip" && ep.PodUID == "0f0f" &&
		ep.Addr == netip.MustParseAddr("198.18.1.2") && ep.HostIfIndex == link.Attrs().Index &&
		ep.HostMAC.String() == link.Attrs().HardwareAddr.String() && ep.Shaped
	if !ok {
		t.Errorf("endpoint %+v", ep)
	}
	if a.changes == 0 {
		t.Error("no change was notified")
	}
}

func podSide(t *testing.T, hostMAC string) error {
	link, err := netlinksafe.LinkByName("eth0")
	if err != nil {
		return err
	}
	if link.Attrs().MTU != 1400 {
		t.Errorf("MTU %d", link.Attrs().MTU)
	}
	addrs, err := netlinksafe.AddrList(link, netlink.FAMILY_ALL)
	if err != nil {
		return err
	}
	if len(addrs) != 1 || addrs[0].IPNet.String() != "198.18.1.2/32" {
		t.Errorf("addresses %v", addrs)
	}
	routes, err := netlinksafe.RouteList(nil, netlink.FAMILY_ALL)
	if err != nil {
		return err
	}
	if len(routes) != 1 || routes[0].Gw.String() != "169.254.7.1" || routes[0].Dst.String() != "0.0.0.0/0" {
		t.Errorf("routes %v", routes)
	}
	wantNeighbour(t, link, "169.254.7.1", hostMAC)
	wantSysctl(t, "ipv6/conf/eth0/disable_ipv6", "1")
	wantSysctl(t, "ipv6/conf/eth0/accept_ra", "0")
	return nil
}

func hostSide(t *testing.T, name string) {
	link, err := netlinksafe.LinkByName(name)
	if err != nil {
		t.Fatal(err)
	}
	if link.Attrs().MTU != 1400 {
		t.Errorf("MTU %d", link.Attrs().MTU)
	}
	addrs, err := netlinksafe.AddrList(link, netlink.FAMILY_ALL)
	if err != nil || len(addrs) != 0 {
		t.Errorf("addresses %v, %v", addrs, err)
	}
	routes, err := netlinksafe.RouteList(link, netlink.FAMILY_ALL)
	if err != nil || len(routes) != 1 || routes[0].Dst.String() != "198.18.1.2/32" ||
		routes[0].Src.String() != nodeAddr.String() || routes[0].Scope != netlink.SCOPE_LINK {
		t.Errorf("routes %v, %v", routes, err)
	}
	wantNeighbour(t, link, "198.18.1.2", key("c-vip").PodMAC().String())
	wantSysctl(t, "ipv6/conf/"+name+"/disable_ipv6", "1")
	wantSysctl(t, "ipv4/conf/"+name+"/proxy_arp", "0")
}

func wantNeighbour(t *testing.T, link netlink.Link, ip, mac string) {
	t.Helper()
	list, err := netlink.NeighList(link.Attrs().Index, netlink.FAMILY_ALL)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range list {
		if n.IP.String() == ip && n.HardwareAddr.String() == mac && n.State == netlink.NUD_PERMANENT {
			return
		}
	}
	t.Errorf("neighbours %v", list)
}

func wantSysctl(t *testing.T, key, want string) {
	t.Helper()
	got, err := os.ReadFile("/proc/sys/net/" + key)
	if err != nil || strings.TrimSpace(string(got)) != want {
		t.Errorf("net/%s is %q, %v; want %s", key, got, err, want)
	}
}

// Before the hooks are attached and the policy is there, not one packet may
// pass, in either direction.
func TestNothingPassesBeforeConnect(t *testing.T) {
	a := startAgent(t, "198.18.1.0/24")
	p := newPod(t, a, "early")
	a.network.onConnect = func(_ context.Context, ep cni.Endpoint) error {
		link, err := netlinksafe.LinkByName(ep.HostIfName)
		if err != nil {
			return err
		}
		if link.Attrs().Flags&1 != 0 || link.Attrs().Index != ep.HostIfIndex {
			t.Errorf("host interface %+v during Connect", link.Attrs())
		}
		if eps := a.manager.Endpoints(); len(eps) != 1 || eps[0].HostIfName != ep.HostIfName {
			t.Errorf("a reconcile loop would remove the endpoint: %v", eps)
		}
		if p.podToHost() == nil || p.hostToPod(ep.Addr) == nil {
			t.Error("a packet passed before Connect returned")
		}
		return nil
	}
	p.add(t)
	if err := errors.Join(p.podToHost(), p.hostToPod(netip.MustParseAddr("198.18.1.2"))); err != nil {
		t.Error(err)
	}
	p.do("DEL").wantOK(t)
}

func TestAddTwice(t *testing.T) {
	a := startAgent(t, "198.18.1.0/24")
	p := newPod(t, a, "twice")
	_, first := p.add(t)
	index := a.manager.Endpoints()[0].HostIfIndex
	_, second := p.add(t)
	if first != second || a.manager.Endpoints()[0].HostIfIndex != index {
		t.Errorf("second ADD answered %s, the first %s", second, first)
	}

	// An ADD that fails does not take down what an earlier one made.
	a.network.onConnect = func(context.Context, cni.Endpoint) error { return errors.New("no policy") }
	p.do("ADD").wantError(t, 11, "no policy")
	a.network.onConnect = nil
	if err := p.podToHost(); err != nil {
		t.Error(err)
	}

	// Another pod cannot take over the container.
	other := *p
	other.args = strings.ReplaceAll(p.args, "K8S_POD_NAME=twice", "K8S_POD_NAME=thief")
	other.do("ADD").wantError(t, 4, "belongs to pod concert/twice")

	// A damaged interface is made again.
	p.inside(t, func() error {
		link, err := netlinksafe.LinkByName("eth0")
		if err != nil {
			return err
		}
		return netlink.LinkSetDown(link) // takes the route along
	})
	p.add(t)
	if err := p.podToHost(); err != nil {
		t.Error(err)
	}
	p.do("DEL").wantOK(t)
	a.wantNothing(t)
}

// An ADD that was killed left its interfaces and its reservation.
func TestAddAfterKilledAdd(t *testing.T) {
	a := startAgent(t, "198.18.1.0/24")
	p := newPod(t, a, "killed")
	leftover := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: key(p.id).HostIfName()}, PeerName: "eth0", PeerNamespace: netlink.NsFd(int(p.netns.Fd()))}
	if err := netlink.LinkAdd(leftover); err != nil {
		t.Fatal(err)
	}
	p.add(t)
	if err := p.podToHost(); err != nil {
		t.Error(err)
	}
	p.do("DEL").wantOK(t)
	a.wantNothing(t)
}

// The runtime kills an ADD that waits for its policy. The agent notices and
// takes the connection back; the next ADD finds the address and the interface.
func TestKilledAdd(t *testing.T) {
	a := startAgent(t, "198.18.1.0/24")
	p := newPod(t, a, "killed")
	cmd, _, _ := p.command("ADD", p.conf(""))
	ended := make(chan struct{})
	a.network.onConnect = func(ctx context.Context, _ cni.Endpoint) error {
		if err := cmd.Process.Kill(); err != nil {
			t.Error(err)
		}
		<-ctx.Done()
		close(ended)
		return ctx.Err()
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if cmd.Wait() == nil {
		t.Error("the killed ADD succeeded")
	}
	select {
	case <-ended:
	case <-time.After(5 * time.Second):
		t.Fatal("the agent did not notice")
	}
	a.network.onConnect = nil
	reserved := a.addresses(t)
	p.add(t)
	if got := a.addresses(t); len(reserved) != 1 || !slices.Equal(got, reserved) {
		t.Errorf("addresses %v, before %v", got, reserved)
	}
	p.do("DEL").wantOK(t)
	a.wantNothing(t)
}
