package datapath

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/gopacket/gopacket/layers"

	"github.com/signet-cni/signet/enforce/policy"
	"github.com/signet-cni/signet/enforce/policy/oracle"
	"github.com/signet-cni/signet/enforce/policy/policytest"
	"github.com/signet-cni/signet/identity"
	"github.com/signet-cni/signet/overlay"
	"github.com/signet-cni/signet/overlay/wire"
)

// Figures of the random comparison: clusters, and packets a cluster.
const (
	oracleClusters = 1000
	oraclePackets  = 150
)

// arenaPrefix6 holds every IPv6 address of the oracle's clusters.
var arenaPrefix6 = netip.MustParsePrefix("fd00::/64")

// nodePrefix6 is where the two nodes' own IPv6 addresses have numbers.
var nodePrefix6 = map[string]netip.Prefix{oracle.Host: arenaPrefix6, oracle.RemoteNode: farPrefix6}

// arena is a node on which an oracle's cluster is put. Every pod is an
// endpoint of the node and behind the far node too, so that a packet can come
// from either side.
type arena struct {
	*node
	port uint16 // of the last packet's source: every packet opens a flow
}

// setting is a cluster with addresses that stand for one end each.
type setting struct {
	world policytest.World
	ends  map[netip.Addr]oracle.End
	hosts overlay.Hosts // the nodes' IPv6 addresses
}

// settle gives every pod addresses of its own, and makes each packet's ends what
// their addresses stand for.
func settle(g oracle.Generator, c oracle.Cluster, packets int) (setting, []oracle.Packet) {
	s := setting{ends: map[netip.Addr]oracle.End{}, hosts: overlay.Hosts{}}
	for i, pod := range c.Pods {
		for n := range pod.IPs {
			for s.ends[pod.IPs[n]] != (oracle.End{}) {
				pod.IPs[n] = pod.IPs[n].Next()
			}
			s.ends[pod.IPs[n]] = oracle.End{Pod: pod.Namespace + "/" + pod.Name, Addr: pod.IPs[n]}
		}
		c.Pods[i] = pod
	}
	var list []oracle.Packet
	for len(list) < packets {
		p := g.Packet(c)
		p.From, p.To = s.end(p.From), s.end(p.To)
		if p.From.Pod != "" || p.To.Pod != "" {
			list = append(list, p)
		}
	}
	s.world = policytest.Translate(c)
	return s, list
}

func (s setting) end(e oracle.End) oracle.End {
	if e.Kind == oracle.Unmanaged {
		e.Kind = oracle.World
	}
	if known, ok := s.ends[e.Addr]; ok {
		return known
	}
	if at, ok := nodePrefix6[e.Kind]; ok && e.Addr.Is6() {
		if len(s.hosts[at]) < overlay.MaxHostNumber {
			s.hosts[at] = append(s.hosts[at], e.Addr)
		} else {
			e.Kind = oracle.World
		}
	}
	s.ends[e.Addr] = e
	return e
}

// load puts the cluster's pods, the ends' locations and the compiled policy
// into the kernel. No packet is under way, so only the policy's switch waits.
func (a *arena) load(s setting) {
	a.t.Helper()
	for addr := range a.endpoints.known {
		must(a.t, a.slots.vacate(addr))
	}
	must(a.t, errors.Join(a.endpoints.prune(nil), a.podPorts.prune(nil)))
	a.endpoints.takeFreed()
	a.podPorts.takeFreed()
	for _, pod := range s.world.Cluster.Pods {
		for _, addr := range pod.IPs {
			must(a.t, a.SetEndpoint(arenaEndpoint(s, pod, addr)))
		}
	}
	rows, hosts, err := toLocations(s.locations())
	must(a.t, err)
	must(a.t, errors.Join(a.locations.add(rows), a.locations.prune(rows), a.hosts.add(hosts), a.hosts.prune(hosts)))
	result := s.world.Compile()
	_, err = a.SetPolicy(&result.Table)
	must(a.t, err)
}

func arenaEndpoint(s setting, pod oracle.Pod, addr netip.Addr) Endpoint {
	ep := endpoint(addr.String(), "podA", s.world.Pods[pod.Namespace+"/"+pod.Name], 1)
	for _, port := range pod.Ports {
		ep.Ports = append(ep.Ports, NamedPort{Name: port.Name, Protocol: protocols[port.Protocol], Port: port.Port})
	}
	return ep
}

func (s setting) locations() map[netip.Prefix]Location {
	kinds := map[string]LocationKind{oracle.Host: LocalHost, oracle.RemoteNode: RemoteHost}
	locations := map[netip.Prefix]Location{}
	for addr, end := range s.ends {
		l := Location{Kind: kinds[end.Kind], Prefix: farPrefix}
		if end.Pod != "" {
			l.Kind = RemotePods
		}
		if addr.Is6() {
			l.Prefix, l.Node = arenaPrefix6, farPrefix
			if at, ok := nodePrefix6[end.Kind]; ok {
				l.Prefix, l.Host = at, uint32(slices.Index(s.hosts[at], addr)+1)
			}
		}
		if l.Kind != 0 {
			locations[netip.PrefixFrom(addr, addr.BitLen())] = l
		}
	}
	return locations
}

// judge puts the packet to a hook that sees both of its ends.
func (a *arena) judge(s setting, p oracle.Packet, viaTunnel bool) (admitted bool, reason string) {
	a.t.Helper()
	a.port++
	raw := a.build(p)
	var program *ebpf.Program
	frame, in := ethernet(mac(1), mac(101), etherType(raw), raw), skb{Ifindex: uint32(interfaces["podA"])}
	switch {
	case p.From.Kind == oracle.World:
		program = a.objs.ToPod
		in.IngressIfindex = uint32(interfaces["uplink"])
	case p.From.Kind == oracle.Host:
		program = a.objs.ToPod
	case p.From.Kind == oracle.RemoteNode:
		program = a.objs.FromOverlay
		frame, in = a.tagged(s, raw, farPrefix6, identity.Host)
	case viaTunnel && p.To.Kind != oracle.World:
		program = a.objs.FromOverlay
		frame, in = a.tagged(s, raw, arenaPrefix6, s.world.Pods[p.From.Pod])
	default:
		program = a.objs.FromPod
		in.IngressIfindex = in.Ifindex
	}
	action, err := program.Run(&ebpf.RunOptions{Data: frame, DataOut: make([]byte, len(frame)+64), Context: in})
	must(a.t, err)
	if int32(action) != actionDrop {
		return true, ""
	}
	return false, a.dropped().String()
}

// tagged gives a packet its form in the tunnel; from is what IPv6's has there.
func (a *arena) tagged(s setting, raw []byte, from netip.Prefix, id identity.ID) ([]byte, skb) {
	index := uint32(interfaces["overlay"])
	var tunnel []byte
	if raw[0]>>4 == 6 {
		var err error
		tunnel, err = wire.Encode6(raw, wire.Route{From: from, To: arenaPrefix6, Identity: uint32(id)}, s.hosts)
		must(a.t, err)
	} else {
		tunnel = tag(a.t, raw, farPrefix, id, false)
	}
	return ethernet(mac(1), mac(101), layers.EthernetTypeIPv6, tunnel), skb{Ifindex: index, IngressIfindex: index}
}

// build gives the packet a source port that no other packet has as its
// destination's, so that none is taken for an answer.
func (a *arena) build(p oracle.Packet) []byte {
	from, to := p.From.Addr, p.To.Addr
	if from.Is6() {
		from, to = netip.MustParseAddr(addrA), netip.MustParseAddr(addrB)
	}
	raw := a.build4(p, netip.AddrPortFrom(from, 20000+a.port%40000).String(), netip.AddrPortFrom(to, p.Port).String())
	if p.From.Addr.Is4() {
		return raw
	}
	raw = ipv6(raw)
	copy(raw[8:], p.From.Addr.AsSlice())
	copy(raw[24:], p.To.Addr.AsSlice())
	return setSum(raw)
}

func (a *arena) build4(p oracle.Packet, src, dst string) []byte {
	switch p.Protocol {
	case "TCP":
		return tcp(src, dst, "S").bytes()
	case "UDP":
		return udp(src, dst).bytes()
	case "SCTP":
		return sctp(src, dst).bytes()
	}
	return echo(src, dst).bytes()
}

// expect gives the oracle's verdict, but for what Signet settles before any
// policy: the node reaches its own pods, and a pod reaches itself.
func expect(c oracle.Cluster, p oracle.Packet) (admitted bool, reason string) {
	egress, ingress := c.Judge(p)
	switch {
	case p.From.Kind == oracle.Host || p.From == p.To:
		return true, ""
	case !egress:
		return false, "policy-egress"
	case !ingress:
		return false, "policy-ingress"
	}
	return true, ""
}

// viaTunnel says by which way a packet between two pods comes.
func viaTunnel(p oracle.Packet) bool {
	return p.To.Kind == oracle.Host || p.To.Kind == oracle.RemoteNode || p.From != p.To && p.Port%2 == 0
}

// judgeable leaves out what no hook of this node judges: a packet of a pod to
// another node is judged there.
func judgeable(p oracle.Packet) bool { return p.To.Kind != oracle.RemoteNode }

func (a *arena) disagrees(s setting, p oracle.Packet) (string, bool) {
	admitted, reason := a.judge(s, p, viaTunnel(p))
	wantAdmitted, wantReason := expect(s.world.Cluster, p)
	said := fmt.Sprintf("kernel %v %q, oracle %v %q", admitted, reason, wantAdmitted, wantReason)
	return said, admitted != wantAdmitted || reason != wantReason
}

// compare puts random packets of the seed's cluster to kernel and oracle.
func (a *arena) compare(seed uint64) (judged, admitted int) {
	a.t.Helper()
	g := oracle.NewGenerator(seed)
	s, packets := settle(g, g.Cluster(), oraclePackets)
	a.load(s)
	for _, p := range packets {
		if !judgeable(p) {
			continue
		}
		if said, wrong := a.disagrees(s, p); wrong {
			a.report(seed, s, p, said)
		}
		judged++
		if ok, _ := expect(s.world.Cluster, p); ok {
			admitted++
		}
	}
	return judged, admitted
}

func (a *arena) report(seed uint64, s setting, p oracle.Packet, said string) {
	a.t.Helper()
	smallest := oracle.Shrink(s.world.Cluster, p, func(c oracle.Cluster) bool {
		smaller := setting{world: policytest.Translate(c), ends: s.ends, hosts: s.hosts}
		a.load(smaller)
		_, wrong := a.disagrees(smaller, p)
		return wrong
	})
	a.t.Fatalf("seed %d: %s\npacket %s\nsmallest cluster %s", seed, said, p, smallest)
}

func newArena(t testing.TB) *arena {
	needKernel(t)
	cfg := testConfig(t)
	cfg.Prefix6 = arenaPrefix6
	return &arena{node: openNode(t, cfg)}
}

// The kernel agrees with the oracle on every packet.
func TestAgreesWithOracle(t *testing.T) {
	a := newArena(t)
	first := rand.Uint64()
	t.Logf("first seed %d", first)
	judged, admitted := 0, 0
	clusters := oracleClusters
	if testing.Short() {
		clusters /= 50
	}
	for i := range uint64(clusters) {
		j, ok := a.compare(first + i)
		judged, admitted = judged+j, admitted+ok
	}
	t.Logf("%d clusters, %d packets judged, %d admitted", clusters, judged, admitted)
	if testing.Short() {
		return
	}
	if judged < 100000 || admitted < judged/5 || admitted > judged*4/5 {
		t.Error("the generator tests too little, or one side only")
	}
}

func FuzzAgreesWithOracle(f *testing.F) {
	a := newArena(f)
	f.Add(uint64(1))
	f.Fuzz(func(t *testing.T, seed uint64) {
		a.t = t
		a.compare(seed)
	})
}

var protocols = map[string]policy.Protocol{"TCP": policy.TCP, "UDP": policy.UDP, "SCTP": policy.SCTP}
