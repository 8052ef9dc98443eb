package netns_test

import (
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/signet-cni/signet/enforce/policy"
	"github.com/signet-cni/signet/enforce/service"
	"github.com/signet-cni/signet/tests/netns/harness"
)

const sctpPort = 8132

var (
	sctpVIP   = netip.MustParseAddrPort("10.96.0.132:80")
	sctpWorld = netip.MustParseAddrPort("10.96.0.133:80")
	initChunk = []byte{1, 0, 0, 20, 0, 0, 0, 7, 0, 1, 0, 0, 0, 1, 0, 1, 0, 0, 0, 1}
	ackChunk  = []byte{2, 0, 0, 20, 0, 0, 0, 9, 0, 1, 0, 0, 0, 1, 0, 1, 0, 0, 0, 1}
)

// sctpField has a server that friends may reach over SCTP at one port, and
// over TCP at the next, and Services of it and of the world.
type sctpField struct {
	*harness.Cluster
	server, friend, local, stranger *harness.Pod
}

func newSCTPField(t *testing.T) sctpField {
	c := harness.NewCluster(t, 2, harness.Options{})
	f := sctpField{
		c, c.AddPod(c.Nodes[0], harness.Role("server")), c.AddPod(c.Nodes[1], harness.Role("friend")),
		c.AddPod(c.Nodes[0], harness.Role("friend")), c.AddPod(c.Nodes[1], harness.Role("stranger")),
	}
	port := func(protocol policy.Protocol, number uint16) policy.Port {
		return policy.Port{Protocol: protocol, First: number, Last: number}
	}
	c.SetPolicies(ingress("server", policy.Rule{
		Peers: peers("friend"), Ports: []policy.Port{port(policy.SCTP, sctpPort), port(policy.TCP, sctpPort+1)},
	}), egress("friend", policy.Rule{Peers: append(peers("server"), policy.Peer{
		Block: policy.IPBlock{CIDR: netip.PrefixFrom(sctpWorld.Addr(), 32)}, // not its backend
	})}))
	sctp := func(at netip.AddrPort, backend netip.Addr) service.Service {
		return service.Service{
			Namespace: "test", Name: at.String(), Backends: []netip.AddrPort{netip.AddrPortFrom(backend, sctpPort)},
			Frontends: []service.Frontend{{Addr: at.Addr(), Port: at.Port(), Protocol: policy.SCTP}},
		}
	}
	c.SetServices(sctp(sctpVIP, f.server.Addr), sctp(sctpWorld, c.World.Addr))
	return f
}

// TestSCTP tries SCTP with crafted packets, and with sockets where the kernel
// has them.
func TestSCTP(t *testing.T) {
	harness.Require(t)
	f := newSCTPField(t)
	direct := netip.AddrPortFrom(f.server.Addr, sctpPort)
	for name, client := range map[string]*harness.Pod{"remote": f.friend, "local": f.local} {
		t.Run(name, func(t *testing.T) {
			f.handshake(t, client, direct)
			f.handshake(t, client, sctpVIP)
		})
	}
	n1, n2 := f.Nodes[0], f.Nodes[1]
	for _, p := range []struct {
		name   string
		client *harness.Pod
		to     netip.AddrPort
		reason string
		by     *harness.Node
	}{
		{"stranger", f.stranger, direct, "policy-ingress", n1},
		{"stranger, by the Service", f.stranger, sctpVIP, "policy-ingress", n1},
		{"a port that is open for TCP", f.friend, netip.AddrPortFrom(f.server.Addr, sctpPort+1), "policy-ingress", n1},
		{"a Service whose backend is denied", f.friend, sctpWorld, "policy-egress", n2},
	} {
		t.Run(p.name, func(t *testing.T) {
			p.by.WantDrops(p.reason, func() {
				must(t, p.client.Frames("eth0").Send(p.client.Frame(
					harness.SCTPPacket(netip.AddrPortFrom(p.client.Addr, 5000), p.to, 0, initChunk)), 0))
			})
		})
	}
	if harness.HasSCTP() {
		f.sockets(t, direct)
	} else {
		t.Log("this kernel has no SCTP sockets: crafted packets only")
	}
}

// handshake sends INIT, and the answer back: each arrives, with the ends that
// its receiver knows.
func (f sctpField) handshake(t *testing.T, client *harness.Pod, via netip.AddrPort) {
	t.Helper()
	from, to := netip.AddrPortFrom(client.Addr, 4000+via.Port()), netip.AddrPortFrom(f.server.Addr, sctpPort)
	f.crosses(t, client, harness.SCTPPacket(from, via, 0, initChunk), f.server, from, to, initChunk)
	f.crosses(t, f.server, harness.SCTPPacket(to, from, 7, ackChunk), client, via, from, ackChunk)
}

func (f sctpField) crosses(t *testing.T, sender *harness.Pod, p harness.Packet, receiver *harness.Pod, src, dst netip.AddrPort, chunks []byte) {
	t.Helper()
	in := receiver.Packets("eth0")
	must(t, sender.Frames("eth0").Send(sender.Frame(p), 0))
	got, ok := in.Await(func(p []byte) bool { return len(p) > 20 && p[9] == unix.IPPROTO_SCTP }, soon)
	if !ok {
		t.Fatalf("%s to %s: nothing arrived; %s", src, dst, f.Drops())
	}
	gotSrc, gotDst, gotChunks, err := harness.ReadSCTP(got)
	if err != nil || gotSrc != src || gotDst != dst || string(gotChunks) != string(chunks) {
		t.Errorf("got %s to %s, %x, %v; want %s to %s, %x", gotSrc, gotDst, gotChunks, err, src, dst, chunks)
	}
}

// sockets moves bytes over associations, which SCTP cuts into many packets.
func (f sctpField) sockets(t *testing.T, direct netip.AddrPort) {
	for name, client := range map[string]*harness.Pod{"remote": f.friend, "local": f.local} {
		for _, via := range []netip.AddrPort{direct, sctpVIP} {
			if err := harness.TransferSCTP(&client.Host, &f.server.Host, via, sctpPort, 100_000, soon); err != nil {
				t.Errorf("%s friend to %s: %v; %s", name, via, err, f.Drops())
			}
		}
	}
	if harness.TransferSCTP(&f.stranger.Host, &f.server.Host, sctpVIP, sctpPort, 1, 2*never) == nil {
		t.Error("a stranger's association is admitted")
	}
}
