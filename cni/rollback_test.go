package cni_test

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/signet-cni/signet/cni"
)

// failure makes one step of an ADD fail; the function it returns, if any,
// undoes that.
type failure struct {
	name   string
	inject func(t *testing.T, a *agent, p *pod) (heal func())
	code   uint
	words  string
	// podLinks are the pod's interfaces afterwards, besides lo.
	podLinks int
	// restart: the agent must start again before it can have cleaned up.
	restart bool
}

var failures = []failure{
	{name: "agent not ready", code: 11, words: "cannot load the program", inject: func(_ *testing.T, a *agent, _ *pod) func() {
		a.network.setReady(errors.New("cannot load the program"))
		return func() { a.network.setReady(nil) }
	}},
	{name: "no podCIDR", code: 11, words: "node n1 has no podCIDR", inject: func(_ *testing.T, a *agent, _ *pod) func() {
		old := a.getNode().PodCIDR
		a.setNode(func(n *cni.Node) { n.PodCIDR = netip.Prefix{} })
		return func() { a.setNode(func(n *cni.Node) { n.PodCIDR = old }) }
	}},
	{name: "bad MTU", code: 11, words: "MTU 70000", inject: func(_ *testing.T, a *agent, _ *pod) func() {
		a.setNode(func(n *cni.Node) { n.MTU = 70000 })
		return func() { a.setNode(func(n *cni.Node) { n.MTU = 1400 }) }
	}},
	{name: "address store", code: 11, words: "address store", inject: func(t *testing.T, a *agent, _ *pod) func() {
		return block(t, filepath.Join(a.dir, "ipam"))
	}},
	{name: "interface exists in the pod", code: 999, words: "create interfaces", podLinks: 1, inject: func(t *testing.T, _ *agent, p *pod) func() {
		p.inside(t, func() error {
			return netlink.LinkAdd(&netlink.Bridge{LinkAttrs: link("eth0")})
		})
		return func() { p.inside(t, func() error { return netlink.LinkDel(&netlink.Bridge{LinkAttrs: link("eth0")}) }) }
	}},
	{name: "default route exists in the pod", code: 999, words: "add default route", inject: func(t *testing.T, _ *agent, p *pod) func() {
		route := &netlink.Route{Dst: ipNet(netip.MustParsePrefix("0.0.0.0/0")), Type: unix.RTN_UNREACHABLE}
		p.inside(t, func() error { return netlink.RouteAdd(route) })
		return func() { p.inside(t, func() error { return netlink.RouteDel(route) }) }
	}},
	{name: "state directory", code: 999, words: "save endpoint", inject: func(t *testing.T, a *agent, _ *pod) func() {
		return block(t, filepath.Join(a.dir, "endpoints"))
	}},
	{name: "connect", code: 11, words: "no identity", inject: func(_ *testing.T, a *agent, _ *pod) func() {
		a.network.onConnect = func(context.Context, cni.Endpoint) error { return errors.New("no identity") }
		return func() { a.network.onConnect = nil }
	}},
	{name: "connect, and the first disconnect", code: 11, words: "no identity", inject: func(_ *testing.T, a *agent, _ *pod) func() {
		a.network.onConnect = func(context.Context, cni.Endpoint) error { return errors.New("no identity") }
		calls := 0
		a.network.onDisconnect = func(cni.Endpoint) error {
			if calls++; calls == 1 {
				return errors.New("map busy")
			}
			return nil
		}
		return func() { a.network.onConnect, a.network.onDisconnect = nil, nil }
	}},
	{name: "agent dies in connect", code: 999, words: "roll back", restart: true, inject: func(_ *testing.T, a *agent, _ *pod) func() {
		dead := make(chan struct{})
		a.network.onConnect = func(context.Context, cni.Endpoint) error {
			go func() { a.stop(); close(dead) }()
			<-dead // longer than Serve waits
			return errors.New("killed")
		}
		return func() { a.network.onConnect = nil }
	}},
	{name: "host route", code: 999, words: "src 192.0.2.99", inject: func(_ *testing.T, a *agent, _ *pod) func() {
		a.setNode(func(n *cni.Node) { n.Addr = netip.MustParseAddr("192.0.2.99") })
		return func() { a.setNode(func(n *cni.Node) { n.Addr = nodeAddr }) }
	}},
}

func TestAddRollsBack(t *testing.T) {
	for _, f := range failures {
		t.Run(f.name, func(t *testing.T) {
			a := startAgent(t, "198.18.1.0/24")
			p := newPod(t, a, "unlucky")
			heal := f.inject(t, a, p)
			p.do("ADD").wantError(t, f.code, f.words)
			if got := p.links(t); len(got) != 1+f.podLinks {
				t.Errorf("interfaces %v left in the pod", got)
			}
			heal()
			if f.restart {
				a.start(t)
			}
			a.wantNothing(t)
			p.add(t)
			p.do("DEL").wantOK(t)
			a.wantNothing(t)
		})
	}
}

// block puts a file where a directory belongs.
func block(t *testing.T, path string) (heal func()) {
	t.Helper()
	if err := errors.Join(os.RemoveAll(path), os.WriteFile(path, nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := os.Remove(path); err != nil {
			t.Error(err)
		}
	}
}

func link(name string) netlink.LinkAttrs { return netlink.LinkAttrs{Name: name} }

// While hooks cannot be taken off, the address is not handed out again.
func TestAddressIsHeldUntilDisconnected(t *testing.T) {
	a := startAgent(t, "198.18.1.0/24")
	p := newPod(t, a, "sticky")
	p.add(t)
	a.network.onDisconnect = func(cni.Endpoint) error { return errors.New("map busy") }
	p.do("DEL").wantError(t, 999, "map busy")
	if got := a.addresses(t); len(got) != 1 {
		t.Errorf("addresses %v", got)
	}
	if eps := a.manager.Endpoints(); len(eps) != 0 {
		t.Errorf("the leaving endpoint is still desired: %v", eps)
	}
	a.network.onDisconnect = nil
	if err := a.manager.Prune(t.Context()); err != nil {
		t.Error(err)
	}
	a.wantNothing(t)
}

// Neither the ADD nor its roll-back could take the hooks off. The next ADD does
// so before it begins, even if it fails itself.
func TestAddAfterFailedRollback(t *testing.T) {
	a := startAgent(t, "198.18.1.0/24")
	p := newPod(t, a, "unlucky")
	a.network.onConnect = func(context.Context, cni.Endpoint) error { return errors.New("no identity") }
	a.network.onDisconnect = func(cni.Endpoint) error { return errors.New("map busy") }
	p.do("ADD").wantError(t, 11, "no identity", "roll back", "map busy")
	p.do("ADD").wantError(t, 11, "map busy")
	a.network.onDisconnect = nil
	p.inside(t, func() error { return netlink.LinkAdd(&netlink.Bridge{LinkAttrs: link("eth0")}) })
	p.do("ADD").wantError(t, 999, "create interfaces")
	a.wantNothing(t)
}
