package datapath

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/gopacket/gopacket/layers"

	"github.com/signet-cni/signet/enforce/policy"
	"github.com/signet-cni/signet/enforce/policy/oracle"
	"github.com/signet-cni/signet/enforce/policy/policytest"
	"github.com/signet-cni/signet/identity"
)

// Figures of the random comparison: clusters, and packets a cluster.
const (
	oracleClusters = 1000
	oraclePackets  = 150
)

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
}

// settle gives every pod an IPv4 address of its own, and makes each packet's
// ends what their addresses stand for.
func settle(g oracle.Generator, c oracle.Cluster, packets int) (setting, []oracle.Packet) {
	s := setting{ends: map[netip.Addr]oracle.End{}}
	for i, pod := range c.Pods {
		for s.ends[pod.IPs[0]] != (oracle.End{}) {
			pod.IPs[0] = pod.IPs[0].Next()
		}
		c.Pods[i] = pod
		s.ends[pod.IPs[0]] = oracle.End{Pod: pod.Namespace + "/" + pod.Name, Addr: pod.IPs[0]}
	}
	var list []oracle.Packet
	for len(list) < packets {
		p := g.Packet(c)
		if !p.From.Addr.Is4() {
			continue
		}
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
	s.ends[e.Addr] = e
	return e
}

// load puts the cluster's pods, the ends' locations and the compiled policy
// into the kernel. No packet is under way, so only the policy's switch waits.
func (a *arena) load(s setting) {
	a.t.Helper()
	must(a.t, errors.Join(a.endpoints.prune(nil), a.podPorts.prune(nil)))
	a.endpoints.takeFreed()
	a.podPorts.takeFreed()
	for _, pod := range s.world.Cluster.Pods {
		must(a.t, a.SetEndpoint(arenaEndpoint(s, pod)))
	}
	rows := map[bpfPrefixKey]bpfLocation{}
	for prefix, l := range s.locations() {
		rows[toPrefixKey(prefix)] = toLocation(l)
	}
	must(a.t, errors.Join(a.locations.add(rows), a.locations.prune(rows)))
	result := s.world.Compile()
	_, err := a.SetPolicy(&result.Table)
	must(a.t, err)
}

func arenaEndpoint(s setting, pod oracle.Pod) Endpoint {
	ep := endpoint(pod.IPs[0].String(), "podA", s.world.Pods[pod.Namespace+"/"+pod.Name], 1)
	for _, port := range pod.Ports {
		ep.Ports = append(ep.Ports, NamedPort{Name: port.Name, Protocol: protocols[port.Protocol], Port: port.Port})
	}
	return ep
}

func (s setting) locations() map[netip.Prefix]Location {
	locations := map[netip.Prefix]Location{}
	for addr, end := range s.ends {
		at := netip.PrefixFrom(addr, 32)
		switch {
		case end.Pod != "":
			locations[at] = Location{Kind: RemotePods, Prefix: farPrefix}
		case end.Kind == oracle.Host:
			locations[at] = Location{Kind: LocalHost}
		case end.Kind == oracle.RemoteNode:
			locations[at] = Location{Kind: RemoteHost, Prefix: farPrefix}
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
	frame, in := ethernet(mac(1), mac(101), layers.EthernetTypeIPv4, raw), skb{Ifindex: uint32(interfaces["podA"])}
	switch {
	case p.From.Kind == oracle.World:
		program = a.objs.ToPod
		in.IngressIfindex = uint32(interfaces["uplink"])
	case p.From.Kind == oracle.Host:
		program = a.objs.ToPod
	case p.From.Kind == oracle.RemoteNode:
		program = a.objs.FromOverlay
		frame, in = a.tagged(raw, identity.Host)
	case viaTunnel && p.To.Kind != oracle.World:
		program = a.objs.FromOverlay
		frame, in = a.tagged(raw, s.world.Pods[p.From.Pod])
	default:
		program = a.objs.FromPod
	}
	action, err := program.Run(&ebpf.RunOptions{Data: frame, DataOut: make([]byte, len(frame)+64), Context: in})
	must(a.t, err)
	if int32(action) != actionDrop {
		return true, ""
	}
	return false, a.dropped().String()
}

func (a *arena) tagged(raw []byte, id identity.ID) ([]byte, skb) {
	index := uint32(interfaces["overlay"])
	tunnel := tag(a.t, raw, farPrefix, id, false)
	return ethernet(mac(1), mac(101), layers.EthernetTypeIPv6, tunnel), skb{Ifindex: index, IngressIfindex: index}
}

// build gives the packet a source port that no other packet has as its
// destination's, so that none is taken for an answer.
func (a *arena) build(p oracle.Packet) []byte {
	src := netip.AddrPortFrom(p.From.Addr, 20000+a.port%40000).String()
	dst := netip.AddrPortFrom(p.To.Addr, p.Port).String()
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
		smaller := setting{world: policytest.Translate(c), ends: s.ends}
		a.load(smaller)
		_, wrong := a.disagrees(smaller, p)
		return wrong
	})
	a.t.Fatalf("seed %d: %s\npacket %s\nsmallest cluster %s", seed, said, p, smallest)
}

func newArena(t testing.TB) *arena { return &arena{node: newEmptyNode(t)} }

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
