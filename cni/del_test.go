package cni_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/containernetworking/plugins/pkg/netlinksafe"
	"github.com/vishvananda/netlink"

	"github.com/signet-cni/signet/cni"
)

// DEL succeeds whatever is gone already, and leaves nothing.
func TestDelOfWhatIsGone(t *testing.T) {
	tests := []struct {
		name    string
		destroy func(t *testing.T, a *agent, p *pod)
	}{
		{"nothing gone", func(*testing.T, *agent, *pod) {}},
		{"namespace", func(t *testing.T, _ *agent, p *pod) { p.destroy(t) }},
		{"interface", func(t *testing.T, _ *agent, p *pod) { removeLink(t, key(p.id).HostIfName()) }},
		{"endpoint", func(t *testing.T, _ *agent, p *pod) { p.do("DEL").wantOK(t) }},
		{"hooks, with the interface", func(t *testing.T, a *agent, p *pod) {
			removeLink(t, key(p.id).HostIfName())
			if err := a.manager.Prune(t.Context()); err != nil {
				t.Error(err)
			}
		}},
		{"agent's state", func(t *testing.T, a *agent, _ *pod) {
			a.stop()
			if err := errors.Join(os.RemoveAll(filepath.Join(a.dir, "endpoints")), os.RemoveAll(filepath.Join(a.dir, "ipam"))); err != nil {
				t.Error(err)
			}
			clear(a.network.connected) // the agent's reconcile loop
			a.start(t)
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a := startAgent(t, "198.18.1.0/24")
			p := newPod(t, a, "gone")
			p.add(t)
			tt.destroy(t, a, p)
			p.do("DEL").wantOK(t)
			a.wantNothing(t)
			p.do("DEL").wantOK(t)
		})
	}
}

// Nothing passes before the interface goes, the hooks stay until it has gone,
// and the address is nobody else's until then.
func TestDelOrder(t *testing.T) {
	a := startAgent(t, "198.18.1.0/24")
	p := newPod(t, a, "leaves")
	p.add(t)
	var order []string
	note := func(what string) func(cni.Endpoint) error {
		return func(ep cni.Endpoint) error {
			_, err := netlinksafe.LinkByName(ep.HostIfName)
			order = append(order, fmt.Sprintf("%s: interface %t, address %d, known %d", what, err == nil, len(a.addresses(t)), len(a.manager.Endpoints())))
			return nil
		}
	}
	a.network.onSilence, a.network.onDisconnect = note("silence"), note("disconnect")
	p.do("DEL").wantOK(t)
	want := []string{"silence: interface true, address 1, known 0", "disconnect: interface false, address 1, known 0"}
	if !slices.Equal(order, want) {
		t.Errorf("order %q, want %q", order, want)
	}
	a.wantNothing(t)
}

// A pod that cannot be silenced keeps its address; the next DEL frees it.
func TestDelAfterFailedSilence(t *testing.T) {
	a := startAgent(t, "198.18.1.0/24")
	p := newPod(t, a, "leaves")
	p.add(t)
	a.network.onSilence = func(cni.Endpoint) error { return errors.New("map busy") }
	p.do("DEL").wantError(t, 999, "map busy")
	if got := a.addresses(t); len(got) != 1 || len(a.network.names()) != 1 {
		t.Errorf("addresses %v, connections %v", got, a.network.names())
	}
	a.network.onSilence = nil
	p.do("DEL").wantOK(t)
	a.wantNothing(t)
}

func TestDelWithoutPod(t *testing.T) {
	a := startAgent(t, "198.18.1.0/24")
	p := newPod(t, a, "plain")
	p.add(t)
	p.args = "" // DEL needs to know only the container
	p.env = []string{"CNI_NETNS="}
	p.do("DEL").wantOK(t)
	a.wantNothing(t)
}

// A DEL that meets no agent removes the interface; the next agent finds out.
func TestDelWithoutAgent(t *testing.T) {
	a := startAgent(t, "198.18.1.0/24")
	p, stays := newPod(t, a, "leaves"), newPod(t, a, "stays")
	p.add(t)
	stays.add(t)
	a.stop()
	start := time.Now()
	p.do("DEL").wantOK(t)
	if took := time.Since(start); took > 4*time.Second {
		t.Errorf("DEL took %v", took)
	}
	if links := hostLinks(t); len(links) != 1 {
		t.Errorf("interfaces %v", links)
	}
	a.start(t)
	if eps := a.manager.Endpoints(); len(eps) != 1 || eps[0].Pod != "stays" {
		t.Errorf("endpoints %v", eps)
	}
	if got := a.addresses(t); len(got) != 1 {
		t.Errorf("addresses %v", got)
	}
	if got := a.network.names(); len(got) != 1 {
		t.Errorf("connections %v", got)
	}
	stays.do("DEL").wantOK(t)
	a.wantNothing(t)
}

func TestGC(t *testing.T) {
	a := startAgent(t, "198.18.1.0/24")
	keep, stale := newPod(t, a, "keep"), newPod(t, a, "stale")
	keep.add(t)
	stale.add(t)
	keep.extra = map[string]any{"cni.dev/valid-attachments": []map[string]string{{"containerID": keep.id, "ifname": "eth0"}}}
	keep.do("GC").wantOK(t)
	if eps := a.manager.Endpoints(); len(eps) != 1 || eps[0].Pod != "keep" {
		t.Errorf("endpoints %v", eps)
	}
	if got := stale.links(t); len(got) != 1 {
		t.Errorf("interfaces %v left in the stale pod", got)
	}
	if err := keep.podToHost(); err != nil {
		t.Error(err)
	}
	keep.extra = nil
	keep.do("GC").wantOK(t) // nothing is valid
	a.wantNothing(t)
}

// GC must not take what an ADD that was under way has attached meanwhile.
func TestGCDuringAdd(t *testing.T) {
	a := startAgent(t, "198.18.1.0/24")
	p, gc := newPod(t, a, "busy"), newPod(t, a, "gc")
	collected := make(chan outcome, 1)
	a.network.onConnect = func(context.Context, cni.Endpoint) error {
		go func() { collected <- gc.do("GC") }()
		time.Sleep(300 * time.Millisecond) // GC has arrived, and waits
		return nil
	}
	p.add(t)
	(<-collected).wantOK(t)
	if err := p.podToHost(); err != nil || len(a.manager.Endpoints()) != 1 {
		t.Errorf("%v, endpoints %v", err, a.manager.Endpoints())
	}
	p.do("DEL").wantOK(t)
	a.wantNothing(t)
}

func TestCheck(t *testing.T) {
	onPodLink := func(change func(netlink.Link) error) func(*testing.T, *agent, *pod) {
		return func(t *testing.T, _ *agent, p *pod) {
			p.inside(t, func() error {
				l, err := netlinksafe.LinkByName("eth0")
				if err != nil {
					return err
				}
				return change(l)
			})
		}
	}
	onHostLink := func(change func(netlink.Link) error) func(*testing.T, *agent, *pod) {
		return func(t *testing.T, _ *agent, p *pod) {
			l, err := netlinksafe.LinkByName(key(p.id).HostIfName())
			if err == nil {
				err = change(l)
			}
			if err != nil {
				t.Error(err)
			}
		}
	}
	tests := []struct {
		name   string
		damage func(t *testing.T, a *agent, p *pod)
		words  string
		code   uint
	}{
		{"pod address", onPodLink(func(l netlink.Link) error {
			return netlink.AddrDel(l, &netlink.Addr{IPNet: ipNet(mustPrefix("198.18.1.2/32"))})
		}), "lacks the address", 999},
		{"pod route", onPodLink(func(l netlink.Link) error {
			return netlink.RouteDel(&netlink.Route{LinkIndex: l.Attrs().Index, Dst: ipNet(mustPrefix("0.0.0.0/0"))})
		}), "route to 0.0.0.0/0", 999},
		{"pod neighbour", onPodLink(deleteNeighbours), "neighbour 169.254.7.1", 999},
		{"pod MAC", onPodLink(func(l netlink.Link) error {
			return netlink.LinkSetHardwareAddr(l, []byte{2, 0, 0, 0, 0, 9})
		}), "02:00:00:00:00:09", 999},
		{"pod interface down", onPodLink(netlink.LinkSetDown), "is down", 999},
		{"interface gone", onPodLink(netlink.LinkDel), "find interface eth0", 999},
		{"host interface down", onHostLink(netlink.LinkSetDown), "is down", 999},
		{"host route", onHostLink(func(l netlink.Link) error {
			return netlink.RouteDel(&netlink.Route{LinkIndex: l.Attrs().Index, Dst: ipNet(mustPrefix("198.18.1.2/32")), Scope: netlink.SCOPE_LINK})
		}), "route to 198.18.1.2/32", 999},
		{"host neighbour", onHostLink(deleteNeighbours), "neighbour 198.18.1.2", 999},
		{"hooks", func(_ *testing.T, a *agent, _ *pod) { a.network.checkErr = errors.New("hook from_pod is gone") }, "from_pod", 999},
		{"endpoint", func(t *testing.T, _ *agent, p *pod) { p.do("DEL").wantOK(t) }, "not attached", 3},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a := startAgent(t, "198.18.1.0/24")
			p := newPod(t, a, "checked")
			_, result := p.add(t)
			p.call("CHECK", p.conf(result)).wantOK(t)
			tt.damage(t, a, p)
			p.call("CHECK", p.conf(result)).wantError(t, tt.code, tt.words)
			p.do("DEL").wantOK(t)
		})
	}
}

func TestCheckNeedsPreviousResult(t *testing.T) {
	a := startAgent(t, "198.18.1.0/24")
	p := newPod(t, a, "checked")
	_, result := p.add(t)
	p.do("CHECK").wantError(t, 7, "prevResult")
	p.call("CHECK", p.conf(strings.ReplaceAll(result, "198.18.1.2", "198.18.1.3"))).wantError(t, 999, "198.18.1.2")
	p.do("DEL").wantOK(t)
}

func TestStatusAndVersion(t *testing.T) {
	a := startAgent(t, "198.18.1.0/24")
	p := newPod(t, a, "none")
	p.do("STATUS").wantOK(t)
	a.network.setReady(errors.New("no WireGuard"))
	p.do("STATUS").wantError(t, 50, "no WireGuard")
	a.network.setReady(limited())
	p.do("STATUS").wantError(t, 51, "tunnel down")
	a.network.setReady(nil)
	a.stop()
	p.do("STATUS").wantError(t, 50, "absent", a.socket())

	got := p.do("VERSION")
	var v struct{ SupportedVersions []string }
	if err := json.Unmarshal([]byte(got.stdout), &v); err != nil || strings.Join(v.SupportedVersions, " ") != "1.0.0 1.1.0" {
		t.Errorf("VERSION %+v, %v", got, err)
	}
}

func deleteNeighbours(l netlink.Link) error {
	list, err := netlink.NeighList(l.Attrs().Index, netlink.FAMILY_V4)
	for _, n := range list {
		err = errors.Join(err, netlink.NeighDel(&n))
	}
	return err
}

func removeLink(t *testing.T, name string) {
	t.Helper()
	l, err := netlinksafe.LinkByName(name)
	if err == nil {
		err = netlink.LinkDel(l)
	}
	if err != nil {
		t.Error(err)
	}
}
