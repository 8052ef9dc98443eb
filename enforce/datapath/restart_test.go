package datapath

import (
	"fmt"
	"maps"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/gopacket/gopacket/layers"

	"github.com/signet-cni/signet/enforce/policy"
	"github.com/signet-cni/signet/enforce/service"
	"github.com/signet-cni/signet/identity"
)

// reopen ends the agent and starts another on the same pins.
func (n *node) reopen() *node {
	n.t.Helper()
	must(n.t, n.Close())
	return openNode(n.t, testConfig(n.t))
}

// freeze makes every map refuse writes of user space.
func (n *node) freeze() {
	n.t.Helper()
	for _, m := range n.writableMaps() {
		must(n.t, m.Freeze())
	}
}

func (n *node) writableMaps() []*ebpf.Map {
	o := &n.objs
	return []*ebpf.Map{
		o.Endpoints, o.EndpointSlots, o.PodPorts, o.Locations, o.Services, o.Backends, o.Identities,
		o.Rules, o.RuleCidrs, o.PortChunks, o.PortNames, o.PolicyState,
	}
}

// fullTable has rows of every kind.
func fullTable() *policy.Table {
	t := blocks(map[string]policy.PortFlags{"203.0.113.0/24": policy.AllTraffic, "fd00::/8": policy.AllTCP})
	ingress(egress(t, idB, idA), idS, idFar)
	t.Chunks[policy.ChunkKey{Set: 7, Protocol: policy.TCP, Chunk: 3}] = policy.Chunk{1, 2, 3}
	t.Names[policy.NameKey{Set: 7, Name: 9, Protocol: policy.UDP}] = struct{}{}
	return t
}

func fullServices() []service.Service {
	node := on(policy.UDP, backendB, backendFar)
	node.Frontends = append(node.Frontends, service.Frontend{Addr: netip.IPv4Unspecified(), Port: 30053, Protocol: policy.UDP})
	node.Affinity = time.Hour
	return []service.Service{on(policy.TCP, backendFar, backendB), node}
}

// A new agent takes over what it finds, and writes nothing that is there.
func TestRestart(t *testing.T) {
	n := newNode(t)
	table := fullTable()
	n.setPolicy(table)
	serves(fullServices()...)(n)
	named := podA()
	named.Ports = []NamedPort{{Name: "web", Protocol: policy.TCP, Port: 80}}
	must(t, n.SetEndpoint(named))
	n.play(t, []step{{pod(podA(), syn), "tunnel"}, {pod(podB(), tcp(addrB+":1", addrA+":2", "S")), "policy-ingress"}})
	revision, endpoints := n.Revision(), n.Endpoints()

	n = n.reopen()
	if n.Revision() != revision || !maps.EqualFunc(n.Endpoints(), endpoints, sameEndpoint) {
		t.Errorf("revision %d and endpoints %v, want %d and %v", n.Revision(), n.Endpoints(), revision, endpoints)
	}
	n.play(t, []step{{farReply(idFar, synAck), "pod"}, {pod(podA(), ack), "tunnel"}})

	n.freeze()
	for what, set := range map[string]func() (bool, error){
		"policy":    func() (bool, error) { return n.SetPolicy(table) },
		"locations": func() (bool, error) { return n.SetLocations(testLocations()) },
		"the table": func() (bool, error) { return n.SetLocations(n.Locations()) },
		"services":  func() (bool, error) { return n.SetServices(bothFamilies(fullServices())) },
		"endpoint":  func() (bool, error) { return false, n.SetEndpoint(named) },
	} {
		if changed, err := set(); changed || err != nil {
			t.Errorf("%s set again: changed %v, %v", what, changed, err)
		}
	}
	if n.Revision() != revision {
		t.Errorf("revision %d, want %d", n.Revision(), revision)
	}
	if _, err := n.SetPolicy(openTable()); err == nil {
		t.Error("a frozen map took another policy: the test sees no writes")
	}
}

func sameEndpoint(a, b Endpoint) bool {
	return a.Addr == b.Addr && a.IfIndex == b.IfIndex && a.Identity == b.Identity && a.Shaped == b.Shaped &&
		slices.Equal(a.MAC, b.MAC) && slices.Equal(a.HostMAC, b.HostMAC)
}

// Every change of policy, and every one that moves flows, gets a revision of
// its own; what changes nothing gets none.
func TestRevisions(t *testing.T) {
	n := newEmptyNode(t)
	at := func(want uint32) {
		t.Helper()
		if got := n.Revision(); got != want {
			t.Fatalf("revision %d, want %d", got, want)
		}
	}
	set := func(changed bool, err error) func(bool) {
		return func(want bool) {
			t.Helper()
			must(t, err)
			if changed != want {
				t.Fatalf("changed %v, want %v", changed, want)
			}
		}
	}
	set(n.SetLocations(testLocations()))(true)
	set(n.SetServices(fullServices()))(true)
	at(0)
	table := ingress(openTable(), idA)
	set(n.SetPolicy(table))(true)
	at(1)
	set(n.SetPolicy(table))(false)
	at(1)
	set(n.SetLocations(nil))(true)
	at(2)
	set(n.SetLocations(nil))(false)
	set(n.SetServices(nil))(true)
	at(3)
	set(n.SetPolicy(openTable()))(true)
	at(4)

	n.revision = 1<<32 - 1
	must(t, n.bump())
	at(2) // not 0, and as even as 0 would have been
}

// A policy of nothing is a policy.
func TestEmptyPolicy(t *testing.T) {
	n := newEmptyNode(t)
	if changed, err := n.SetPolicy(&policy.Table{}); err != nil || !changed || n.Revision() != 1 {
		t.Errorf("changed %v, revision %d, %v", changed, n.Revision(), err)
	}
}

// The agent dies in the middle of SetPolicy. What is in force is either the
// old table or the new one, and the next agent can set either.
func TestCrash(t *testing.T) {
	old, next := ingress(openTable(), idA), egress(openTable(), idFar)
	delete(next.Identities, idS)
	next.Identities[7777] = policy.Entry{Class: 7777}
	for i, crash := range []struct {
		name  string
		upTo  func(n *node, rows *policyRows) error
		wants string // of farSyn: old says policy-ingress, next policy-egress
	}{
		{"rows added", func(n *node, rows *policyRows) error { return n.policy.addRows(rows) }, "policy-ingress"},
		{"half prepared", func(n *node, rows *policyRows) error {
			for id := range rows.identities {
				if id%2 == 0 {
					delete(rows.identities, id)
				}
			}
			return n.prepare(rows)
		}, "policy-ingress"},
		{"prepared", func(n *node, rows *policyRows) error { return n.prepare(rows) }, "policy-ingress"},
		{"switched", func(n *node, rows *policyRows) error {
			must(n.t, n.policy.addRows(rows))
			must(n.t, n.prepare(rows))
			return n.bump()
		}, "policy-egress"},
	} {
		for j, then := range []struct {
			table *policy.Table
			wants string
		}{{old, "policy-ingress"}, {next, "policy-egress"}} {
			if testing.Short() && i%2 != j {
				continue // a load takes an emulated machine seconds
			}
			t.Run(fmt.Sprintf("%s, then %s", crash.name, then.wants), func(t *testing.T) {
				n := newNode(t)
				n.setPolicy(old)
				must(t, crash.upTo(n, toRows(next)))
				n = n.reopen()
				n.play(t, []step{
					{far(idFar, farSyn), crash.wants},
					{loads(then.table), ""},
					{far(idFar, farSyn), then.wants},
				})
				want := toRows(then.table)
				if n.policy.differs(want) {
					t.Error("the maps hold more, or less, than the table")
				}
				n.freeze()
				loads(then.table)(n)
			})
		}
	}
}

// While two tables take turns, each of which denies a packet that a mixture of
// them would admit, no packet passes.
func TestNeverAMixture(t *testing.T) {
	t.Run("whole tables", func(t *testing.T) {
		testNeverAMixture(t, func(n *node, _, to *policy.Table) { n.setPolicy(to) })
	})
	t.Run("changes", func(t *testing.T) {
		testNeverAMixture(t, func(n *node, from, to *policy.Table) { must(n.t, n.ChangePolicy(deltaOf(from, to))) })
	})
}

func testNeverAMixture(t *testing.T, change func(n *node, from, to *policy.Table)) {
	n := newNode(t)
	crowd := func(table *policy.Table, more policy.ClassID) *policy.Table {
		for id := range identity.ID(200) { // many writes a change, whose memory is used again
			table.Identities[2000+id] = policy.Entry{Class: more + policy.ClassID(id)}
		}
		return table
	}
	tables := []*policy.Table{
		crowd(ingress(egress(openTable(), idA), idB, idA), 1<<33),
		crowd(ingress(egress(openTable(), idA, idB), idB), 1<<34),
	}
	n.setPolicy(tables[0])
	n.events()
	var stop atomic.Bool
	var judged atomic.Int64
	var readers sync.WaitGroup
	for reader := range runtime.NumCPU() {
		src := fmt.Sprintf("%s:%d", addrA, 5000+reader)
		frame := ethernet(mac(1), mac(101), layers.EthernetTypeIPv4, udp(src, addrB+":80").bytes())
		readers.Go(func() {
			for !stop.Load() {
				opts := ebpf.RunOptions{Data: frame, Context: skb{Ifindex: uint32(interfaces["podA"]), IngressIfindex: uint32(interfaces["podA"])}, Repeat: 1000}
				if _, err := n.objs.FromPod.Run(&opts); err != nil {
					t.Error(err)
				}
				judged.Add(int64(opts.Repeat))
			}
		})
	}
	changes := 300
	if testing.Short() {
		changes /= 10
	}
	for i := range changes {
		change(n, tables[i%2], tables[(i+1)%2])
	}
	stop.Store(true)
	readers.Wait()
	t.Logf("%d packets", judged.Load())
	for _, e := range n.events() {
		if e.Verdict != Dropped {
			t.Errorf("%+v", e)
		}
	}
	drops, err := n.Drops()
	must(t, err)
	for reason, count := range drops {
		byPolicy := strings.HasPrefix(reason.String(), "policy-")
		if (count.Packets != 0) != byPolicy {
			t.Errorf("%d packets were dropped as %s", count.Packets, reason)
		}
	}
}

// Adding a pod and taking it away leaves nothing behind.
func TestEndpoints(t *testing.T) {
	n := newNode(t)
	ep := endpoint("10.244.1.20", "podB", idB, 20)
	ep.Ports = []NamedPort{
		{Name: "a", Protocol: policy.TCP, Port: 80},
		{Name: "b", Protocol: policy.TCP, Port: 80},
		{Name: "c", Protocol: policy.TCP, Port: 80},
		{Name: "d", Protocol: policy.TCP, Port: 80},
	}
	must(t, n.SetEndpoint(ep))
	must(t, n.SetEndpoint(ep))
	ep.Ports = append(ep.Ports, NamedPort{Name: "e", Protocol: policy.TCP, Port: 80})
	for what, bad := range map[string]Endpoint{
		"a fifth name":     ep,
		"no interface":     {Addr: ep.Addr, Identity: idB, MAC: mac(1), HostMAC: mac(2)},
		"no address":       {IfIndex: 1, Identity: idB, MAC: mac(1), HostMAC: mac(2)},
		"reserved":         {Addr: ep.Addr, IfIndex: 1, Identity: identity.World, MAC: mac(1), HostMAC: mac(2)},
		"a short MAC":      {Addr: ep.Addr, IfIndex: 1, Identity: idB, MAC: mac(1)[:5], HostMAC: mac(2)},
		"no MAC of a host": {Addr: ep.Addr, IfIndex: 1, Identity: idB, MAC: mac(1)},
	} {
		if err := n.SetEndpoint(bad); err == nil {
			t.Errorf("%s: no error", what)
		}
	}
	must(t, n.DeleteEndpoint(ep.Addr))
	must(t, n.DeleteEndpoint(ep.Addr))
	if _, ok := n.Endpoints()[ep.Addr]; ok || len(n.podPorts.known) != 0 {
		t.Errorf("left: %v, %v", n.Endpoints(), n.podPorts.known)
	}
	if got := n.fromOverlay(tag(t, tcp(addrFar+":1", "10.244.1.20:80", "S").bytes(), farPrefix, idFar, false)); got.String() != "no-endpoint" {
		t.Errorf("a packet to it: %s", got)
	}
}

// Two services may not claim one address, and an invalid prefix is refused.
func TestRefusedInput(t *testing.T) {
	n := newNode(t)
	clash := on(policy.TCP, backendB)
	clash.Name = "other"
	if _, err := n.SetServices([]service.Service{on(policy.TCP, backendFar), clash}); err == nil {
		t.Error("two services at one address: no error")
	}
	if _, err := n.SetLocations(map[netip.Prefix]Location{{}: {Kind: LocalHost}}); err == nil {
		t.Error("an invalid prefix: no error")
	}
	cfg := testConfig(t)
	cfg.Prefix = netip.MustParsePrefix("fd00::/48")
	if _, err := Open(cfg); err == nil {
		t.Error("a tunnel prefix of 48 bits: no error")
	}
}
