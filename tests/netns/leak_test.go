package netns_test

import (
	"errors"
	"net/netip"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/signet-cni/signet/overlay"
	"github.com/signet-cni/signet/tests/netns/harness"
)

// TestNoPlaintext does all that makes packets of pods or for pods, in every
// state that a node can be in, under one capture: nothing but WireGuard goes
// from node to node, and nothing has the address of a pod. The capture shows
// that it would see such a packet.
func TestNoPlaintext(t *testing.T) {
	harness.Require(t)
	f := newLeakField(t)
	whole := f.Capture()
	for _, n := range f.Nodes {
		whole.Control(n, f.a.Addr, f.b.Addr)
		whole.Control(n, f.a.Addr, f.World.Addr)
		whole.Control(n, n.Addr, f.b.Addr)
	}
	for _, a := range f.attempts() {
		t.Run(a.name, func(t *testing.T) {
			watched(t, f, 1, func() {
				if err := a.run(soon); err != nil {
					t.Errorf("%v; %s", err, f.Drops())
				}
			})
		})
	}
	t.Run("junk of a pod", func(t *testing.T) { watched(t, f, 0, func() { sendJunk(t, f) }) })
	for _, state := range f.states() {
		t.Run(state.name, func(t *testing.T) {
			watched(t, f, 0, func() {
				must(t, state.begin())
				f.attemptAll(t, state.works)
				sendJunk(t, f)
				must(t, state.end())
				f.attemptAll(t, true)
			})
		})
	}
	t.Run("while pods start and stop", func(t *testing.T) { watched(t, f, 1, func() { f.churn(t) }) })
	t.Run("node added", func(t *testing.T) { watched(t, f, 1, func() { nodeAdded(t, f) }) })
	t.Run("reused podCIDR", func(t *testing.T) { watched(t, f, 1, func() { reusedRange(t, f) }) })
	t.Run("booted, no agent yet", func(t *testing.T) { watched(t, f, 0, func() { booted(t, f) }) })
	whole.Stop(500)
	noneBetween(t, whole)
}

// watched has a capture of its own look at what f does.
func watched(t *testing.T, f *leakField, sealed int, do func()) {
	capture := f.Capture()
	do()
	capture.Stop(sealed)
	noneBetween(t, capture)
}

func noneBetween(t *testing.T, capture *harness.Capture) {
	t.Helper()
	for _, p := range capture.Between() {
		t.Errorf("plaintext between nodes: %s", p)
	}
}

// leakField is two nodes with pods a and b, and others that come into it late.
type leakField struct {
	*harness.Cluster
	n1, n2  *harness.Node
	late    *harness.Node // that n1 and n2 do not know
	heir    *harness.Node // that has n2's range for its pods
	booted  *harness.Node
	a, b    *harness.Pod
	service netip.AddrPort
}

func newLeakField(t *testing.T) *leakField {
	c := harness.NewCluster(t, 2, harness.Options{})
	f := &leakField{Cluster: c, n1: c.Nodes[0], n2: c.Nodes[1], service: netip.MustParseAddrPort("10.96.0.9:7")}
	f.a, f.b = c.AddPod(f.n1, harness.Role("a")), c.AddPod(f.n2, harness.Role("b"))
	f.late = c.AddNode(netip.MustParsePrefix("10.244.3.0/24"))
	f.heir = c.AddNode(f.n2.PodCIDR)
	f.booted = c.AddBootedNode()
	for _, h := range []*harness.Host{&f.a.Host, &f.b.Host, &f.n1.Host, &f.n2.Host} {
		for _, family := range families {
			family.of(h).EchoUDP(7)
			family.of(h).EchoTCP(7)
		}
	}
	c.World.EchoUDP(7)
	b := netip.AddrPortFrom(f.b.Addr, 7)
	c.SetServices(clusterIP(f.service.Addr().String(), f.service.Port(), b))
	f.n1.SetForwards(harness.Forward{Port: nodePort, To: b, Masquerade: true})
	f.n2.SetForwards(harness.Forward{Port: hostPort, To: b})
	return f
}

const (
	nodePort = 30003
	hostPort = 8007
)

// attempt is one kind of traffic between the nodes, and its answer.
type attempt struct {
	name string
	run  func(limit time.Duration) error
}

// families are how a host with both speaks.
var families = []struct {
	name string
	of   func(*harness.Host) *harness.Host
}{{"IPv4", func(h *harness.Host) *harness.Host { return h }}, {"IPv6", (*harness.Host).IPv6}}

func (f *leakField) attempts() []attempt {
	list := slices.Concat(
		talk("pod to Service", &f.a.Host, f.service),
		talk("world to NodePort, pod on another node", f.World, at(&f.n1.Host, nodePort)),
		talk("pod to hostPort of another node", &f.a.Host, at(&f.n2.Host, hostPort)))
	for _, family := range families {
		a, b, n1, n2 := family.of(&f.a.Host), family.of(&f.b.Host), family.of(&f.n1.Host), family.of(&f.n2.Host)
		for _, p := range []path{
			{"pod to remote pod", a, b},
			{"remote pod to pod", b, a},
			{"pod to remote node", a, n2},
			{"process of a node to remote pod", n1, b},
			{"process of a remote node to pod", n2, a},
		} {
			name := family.name + ", " + p.name
			list = append(list, talk(name, p.client, at(p.server, 7))...)
			if p.server != a {
				list = append(list, ask(name, p)...)
			}
		}
	}
	return list
}

func at(h *harness.Host, port uint16) netip.AddrPort { return netip.AddrPortFrom(h.Addr, port) }

func talk(name string, from *harness.Host, to netip.AddrPort) []attempt {
	payload := harness.Filler(3000) // in fragments, over UDP
	return []attempt{
		{name + ", TCP", func(limit time.Duration) error { return from.CallTCP(to, payload, limit) }},
		{name + ", UDP in fragments", func(limit time.Duration) error { return from.EchoOnce(to, payload, limit) }},
	}
}

// ask sends what ICMP answers.
func ask(name string, p path) []attempt {
	return []attempt{
		{name + ", echo in fragments", func(limit time.Duration) error { return p.client.Ping(p.server.Addr, 3000, limit) }},
		{name + ", ICMP error", func(limit time.Duration) error {
			if err := refusal(p.client, at(p.server, 4999), limit); !errors.Is(err, syscall.ECONNREFUSED) {
				return errors.Join(errors.New("want a refusal"), err)
			}
			return nil
		}},
	}
}

// attemptAll makes every attempt at once, which has to succeed or to fail.
func (f *leakField) attemptAll(t *testing.T, works bool) {
	t.Helper()
	var running sync.WaitGroup
	for _, a := range f.attempts() {
		running.Go(func() {
			err := a.run(never)
			for tries := 1; works && err != nil && tries < 5; tries++ { // sessions may have to begin anew
				err = a.run(soon)
			}
			if (err == nil) != works {
				t.Errorf("%s: %v, want success: %v; %s", a.name, err, works, f.Drops())
			}
		})
	}
	running.Wait()
}

// state is what a node can be in. Between begin and end traffic works, or not.
type state struct {
	name       string
	works      bool
	begin, end func() error
}

func (f *leakField) states() []state {
	known := func() error { return errors.Join(f.n1.SyncWith(f.n2), f.n2.SyncWith(f.n1)) }
	agents := func(do func(n *harness.Node)) func() error {
		return func() error {
			do(f.n1)
			do(f.n2)
			return nil
		}
	}
	return []state{
		{"agents dead", true, agents((*harness.Node).CloseDatapath), agents((*harness.Node).OpenDatapath)},
		{"peer's key missing", false, f.n1.DropPeers, known},
		{"peer's key wrong", false, f.n1.MistakePeers, known},
		{
			"device down", false,
			func() error { return f.n1.SetLink(overlay.DefaultDevice, false) },
			func() error { return errors.Join(f.n1.SetLink(overlay.DefaultDevice, true), known()) },
		},
	}
}
