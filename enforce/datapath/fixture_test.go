package datapath

import (
	"bytes"
	"net"
	"net/netip"
	"os"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/gopacket/gopacket/layers"

	"github.com/signet-cni/signet/enforce/policy"
	"github.com/signet-cni/signet/enforce/service"
	"github.com/signet-cni/signet/identity"
	"github.com/signet-cni/signet/overlay"
	"github.com/signet-cni/signet/overlay/wire"
)

// The cluster of the tests, seen from the node "own". Nodes and pods of the
// wire format's golden packets are among them.
var (
	ownPrefix   = netip.MustParsePrefix("fd51:a2b3:af4:100::/64")
	farPrefix   = netip.MustParsePrefix("fd51:a2b3:af4:200::/64")
	thirdPrefix = netip.MustParsePrefix("fd51:a2b3:af4:300::/64")
)

// The same nodes' IPv6 pod ranges, and the addresses that they have themselves.
var (
	ownPrefix6   = netip.MustParsePrefix("fd10:244:0:1::/64")
	farPrefix6   = netip.MustParsePrefix("fd10:244:0:2::/64")
	thirdPrefix6 = netip.MustParsePrefix("fd10:244:0:3::/64")

	testHosts = overlay.Hosts{
		ownPrefix6: {six(netip.MustParseAddr(ownHost))}, farPrefix6: {six(netip.MustParseAddr(farHost))},
		thirdPrefix6: {six(netip.MustParseAddr(thirdHost))},
	}
)

const (
	addrA     = "10.244.1.7" // pods of this node
	addrB     = "10.244.1.8"
	addrS     = "10.244.1.9" // shaped
	addrFar   = "10.244.2.9" // a pod of the far node
	addrFar2  = "10.244.2.10"
	addrThird = "10.244.3.9"
	ownHost   = "172.18.0.1"
	farHost   = "172.18.0.2"
	thirdHost = "172.18.0.3"
	world     = "203.0.113.5"
	vip       = "10.96.0.10" // of a Service

	gatewayAddr = "169.254.7.1" // of every pod

	idA     = identity.ID(0xc0ffee01)
	idB     = identity.ID(1000)
	idS     = identity.ID(1001)
	idFar   = identity.ID(1002)
	idOther = identity.ID(1003) // known, but not of a pod at first
)

// A Service at vip:80, and its backends.
var (
	clusterIP  = service.Frontend{Addr: netip.MustParseAddr(vip), Port: 80, Protocol: policy.TCP}
	backendB   = netip.MustParseAddrPort(addrB + ":8080")
	backendFar = netip.MustParseAddrPort(addrFar + ":8080")
)

func mac(last byte) net.HardwareAddr { return net.HardwareAddr{2, 0, 0, 0, 0, last} }

func endpoint(addr, device string, id identity.ID, last byte) Endpoint {
	return Endpoint{
		Addr: netip.MustParseAddr(addr), IfIndex: interfaces[device], Identity: id,
		MAC: mac(last), HostMAC: mac(last + 100),
	}
}

func podA() Endpoint { return endpoint(addrA, "podA", idA, 1) }
func podB() Endpoint { return endpoint(addrB, "podB", idB, 2) }
func podS() Endpoint {
	ep := endpoint(addrS, "podS", idS, 3)
	ep.Shaped = true
	return ep
}

// testLocations is what the agent would derive from the cluster's nodes.
func testLocations() map[netip.Prefix]Location {
	return map[netip.Prefix]Location{
		netip.MustParsePrefix("10.244.0.0/16"):   {Kind: ClusterPods},
		netip.MustParsePrefix("10.244.1.0/24"):   {Kind: LocalPods},
		netip.MustParsePrefix("10.244.2.0/24"):   {Kind: RemotePods, Prefix: farPrefix},
		netip.MustParsePrefix("10.244.3.0/24"):   {Kind: RemotePods, Prefix: thirdPrefix},
		netip.MustParsePrefix(ownHost + "/32"):   {Kind: LocalHost},
		netip.MustParsePrefix(farHost + "/32"):   {Kind: RemoteHost, Prefix: farPrefix},
		netip.MustParsePrefix(thirdHost + "/32"): {Kind: RemoteHost, Prefix: thirdPrefix},

		netip.MustParsePrefix("fd10:244::/32"): {Kind: ClusterPods},
		ownPrefix6:                             {Kind: LocalPods, Prefix: ownPrefix6, Node: ownPrefix},
		farPrefix6:                             {Kind: RemotePods, Prefix: farPrefix6, Node: farPrefix},
		thirdPrefix6:                           {Kind: RemotePods, Prefix: thirdPrefix6, Node: thirdPrefix},
		host6(ownHost):                         {Kind: LocalHost, Prefix: ownPrefix6, Node: ownPrefix, Host: 1},
		host6(farHost):                         {Kind: RemoteHost, Prefix: farPrefix6, Node: farPrefix, Host: 1},
		host6(thirdHost):                       {Kind: RemoteHost, Prefix: thirdPrefix6, Node: thirdPrefix, Host: 1},
	}
}

func host6(addr string) netip.Prefix { return netip.PrefixFrom(six(netip.MustParseAddr(addr)), 128) }

// node is a loaded datapath, with the counters as they last were.
type node struct {
	*Datapath
	t     testing.TB
	v6    bool // what a test says in IPv4 is done in IPv6
	drops map[Reason]DropCount
}

func testConfig(t testing.TB) Config {
	return Config{
		PinPath:        pinRoot + "/" + sanitize(t.Name()),
		Prefix:         ownPrefix,
		Prefix6:        ownPrefix6,
		OverlayIfIndex: interfaces["overlay"],
		DetourIfIndex:  interfaces["detour"],
		overlayL2Len:   14,
	}
}

func sanitize(name string) string {
	return string(bytes.Map(func(r rune) rune {
		if r == '/' || r == '.' || r == '#' {
			return '_'
		}
		return r
	}, []byte(name)))
}

// newEmptyNode loads the programs over fresh maps: no policy, no pods.
func newEmptyNode(t testing.TB) *node {
	t.Helper()
	needKernel(t)
	return openNode(t, testConfig(t))
}

func openNode(t testing.TB, cfg Config) *node {
	t.Helper()
	d, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		must(t, d.Close())
		must(t, os.RemoveAll(cfg.PinPath)) // it holds the maps' memory
	})
	n := &node{Datapath: d, t: t}
	n.drops, err = d.Drops()
	must(t, err)
	return n
}

// newNode is a node with three pods, all locations and a policy that isolates
// no one.
func newNode(t testing.TB) *node {
	t.Helper()
	n := newEmptyNode(t)
	n.reset()
	return n
}

// reset makes the node one that newNode gives.
func (n *node) reset() {
	n.t.Helper()
	n.forgetFlows()
	empty[bpfFragmentKey](n.t, n.objs.Fragments)
	empty[bpfAddr](n.t, n.objs.TunnelSources)
	empty[bpfAffinityKey](n.t, n.objs.Affinities)
	pods := map[netip.Addr]Endpoint{}
	for _, ep := range []Endpoint{podA(), podB(), podS()} {
		for _, ep := range []Endpoint{ep, sixth(ep)} {
			pods[ep.Addr] = ep
			must(n.t, n.SetEndpoint(ep))
		}
	}
	for addr := range n.Endpoints() {
		if _, ok := pods[addr]; !ok {
			must(n.t, n.DeleteEndpoint(addr))
		}
	}
	_, err := n.SetLocations(testLocations())
	must(n.t, err)
	_, err = n.SetServices(nil)
	must(n.t, err)
	_, err = n.SetAttested(map[netip.Prefix][]identity.ID{farPrefix: {idFar, idOther}}, Audit)
	must(n.t, err)
	_, err = n.SetDetours(nil)
	must(n.t, err)
	n.setPolicy(openTable())
}

func (n *node) setPolicy(table *policy.Table) {
	n.t.Helper()
	_, err := n.SetPolicy(table)
	must(n.t, err)
}

// forgetFlows empties the flow table.
func (n *node) forgetFlows() { empty[bpfFlowKey](n.t, n.objs.Flows) }

func empty[K any](t testing.TB, m *ebpf.Map) {
	t.Helper()
	var key K
	for m.NextKey(nil, &key) == nil {
		must(t, m.Delete(key))
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// skb is struct __sk_buff (linux/bpf.h).
type skb struct {
	Len, PktType, Mark, QueueMapping, Protocol uint32
	VLAN                                       [3]uint32
	Priority, IngressIfindex, Ifindex, TCIndex uint32
	CB                                         [5]uint32
	Hash, TCClassID, Data, DataEnd, NAPI       uint32
	Socket                                     [14]uint32 // family to data_meta
	FlowKeys, Tstamp                           uint64
	WireLen, GSOSegs                           uint32
	SK                                         uint64
	GSOSize, TstampType                        uint32
	HWTstamp                                   uint64
}

// result is what a program made of a packet.
type result struct {
	hook   Hook
	action int32
	reason Reason // of a drop
	frame  []byte
	mark   uint32
}

// packet is the frame less its Ethernet header.
func (r result) packet() []byte { return r.frame[ethernetLen:] }

// String is the outcome in a word: the reason of a drop, or where the packet
// goes: pod, stack, tunnel, or tunnel-reply if the REPLY bit is set.
func (r result) String() string {
	switch p := r.packet(); {
	case r.action == actionDrop:
		return r.reason.String()
	case r.mark == uint32(bpfMarkMARK_TAGGED) && p[35]&2 != 0:
		return "tunnel-reply"
	case r.mark == uint32(bpfMarkMARK_TAGGED):
		return "tunnel"
	case r.action == actionRedirect || r.hook == Hook(bpfHookHOOK_TO_POD):
		return "pod"
	}
	return "stack"
}

const (
	ethernetLen    = 14
	actionNext     = -1
	actionDrop     = 2
	actionRedirect = 7
)

// run runs a hook on a frame.
func (n *node) run(hook Hook, program *ebpf.Program, frame []byte, in skb) result {
	n.t.Helper()
	var out skb
	opts := ebpf.RunOptions{Data: frame, DataOut: make([]byte, len(frame)+256), Context: in, ContextOut: &out}
	action, err := program.Run(&opts)
	if err != nil {
		n.t.Fatalf("run %s: %v", hook, err)
	}
	r := result{hook: hook, action: int32(action), frame: opts.DataOut, mark: out.Mark}
	if r.action == actionDrop {
		r.reason = n.dropped()
	}
	return r
}

// dropped gives the one reason whose counter has grown since it last looked.
func (n *node) dropped() Reason {
	n.t.Helper()
	now, err := n.Drops()
	must(n.t, err)
	var grown []Reason
	for r, count := range now {
		if count.Packets == n.drops[r].Packets+1 && count.Bytes > n.drops[r].Bytes {
			grown = append(grown, r)
		} else if count != n.drops[r] {
			n.t.Errorf("drop counter %s went from %v to %v", r, n.drops[r], count)
		}
	}
	n.drops = now
	if len(grown) != 1 {
		n.t.Fatalf("a drop was counted as %v", grown)
	}
	return grown[0]
}

// fromPod is a pod of this node sending.
func (n *node) fromPod(ep Endpoint, packet []byte) result {
	n.t.Helper()
	frame := ethernet(ep.MAC, ep.HostMAC, etherType(packet), packet)
	return n.run(Hook(bpfHookHOOK_FROM_POD), n.objs.FromPod, frame, skb{Ifindex: uint32(ep.IfIndex), IngressIfindex: uint32(ep.IfIndex)})
}

// fromOverlay is a packet that WireGuard decrypted.
func (n *node) fromOverlay(packet []byte) result {
	n.t.Helper()
	frame := ethernet(mac(200), mac(201), layers.EthernetTypeIPv6, packet)
	index := uint32(interfaces["overlay"])
	return n.run(Hook(bpfHookHOOK_FROM_OVERLAY), n.objs.FromOverlay, frame, skb{Ifindex: index, IngressIfindex: index})
}

// toOverlay is the host stack sending into the tunnel what came in by a
// device, or "" for a process of the node.
func (n *node) toOverlay(packet []byte, device string) result {
	n.t.Helper()
	frame := ethernet(mac(202), mac(203), etherType(packet), packet)
	in := skb{Ifindex: uint32(interfaces["overlay"]), IngressIfindex: uint32(interfaces[device])}
	return n.run(Hook(bpfHookHOOK_TO_OVERLAY), n.objs.ToOverlay, frame, in)
}

// toPod is the host stack delivering what came in by a device, or "".
func (n *node) toPod(ep Endpoint, packet []byte, device string) result {
	n.t.Helper()
	frame := ethernet(ep.HostMAC, ep.MAC, etherType(packet), packet)
	in := skb{Ifindex: uint32(ep.IfIndex), IngressIfindex: uint32(interfaces[device])}
	return n.run(Hook(bpfHookHOOK_TO_POD), n.objs.ToPod, frame, in)
}

// tag gives an IPv4 packet its form in the tunnel, as the far node sends it.
func tag(t testing.TB, p []byte, from netip.Prefix, id identity.ID, reply bool) []byte {
	t.Helper()
	out, err := wire.Encode(p, wire.Route{From: from, To: ownPrefix, Identity: uint32(id), Reply: reply})
	must(t, err)
	return out
}

// tag gives a packet of the node's family its form in the tunnel; from is the
// sending node's tunnel prefix.
func (n *node) tag(p []byte, from netip.Prefix, id identity.ID, reply bool) []byte {
	n.t.Helper()
	if !n.v6 {
		return tag(n.t, p, from, id, reply)
	}
	ranges := map[netip.Prefix]netip.Prefix{farPrefix: farPrefix6, thirdPrefix: thirdPrefix6}
	return n.tag6(p, wire.Route{From: ranges[from], To: ownPrefix6, Identity: uint32(id), Reply: reply})
}
