package netns_test

import (
	"net/netip"
	"testing"

	"github.com/signet-cni/signet/enforce/policy"
	"github.com/signet-cni/signet/tests/netns/harness"
)

// allBut admits every address but those of some hosts.
func allBut(hosts ...*harness.Host) []policy.Peer {
	block := policy.IPBlock{CIDR: netip.MustParsePrefix("0.0.0.0/0")}
	for _, h := range hosts {
		block.Except = append(block.Except, netip.PrefixFrom(h.Addr, 32))
	}
	return []policy.Peer{{Block: block}}
}

// TestBlocks changes the exceptions of an ipBlock that covers pods, nodes and
// the world, for both directions: the new flows and the live connection of
// whom they name stop, those of the others go on, and all do when the
// exceptions are gone.
func TestBlocks(t *testing.T) {
	harness.Require(t)
	c := harness.NewCluster(t, 2, harness.Options{})
	n1, n2 := c.Nodes[0], c.Nodes[1]
	subject := c.AddPod(n1, harness.Role("subject"))
	n1.SetForwards(harness.Forward{Port: 30080, To: netip.AddrPortFrom(subject.Addr, 80)})
	here := netip.AddrPortFrom(subject.Addr, 80)
	others := []struct {
		name string
		host *harness.Host
		via  netip.AddrPort // the subject
	}{
		{"remote pod", &c.AddPod(n2, harness.Role("remote")).Host, here},
		{"local pod", &c.AddPod(n1, harness.Role("local")).Host, here},
		{"remote node", &n2.Host, here},
		{"world", c.World, netip.AddrPortFrom(n1.Addr, 30080)},
	}
	set := func(except ...*harness.Host) {
		rule := policy.Rule{Peers: allBut(except...)}
		c.SetPolicies(ingress("subject", rule), egress("subject", rule))
	}
	set()
	var in, out []*harness.Talk
	for _, o := range others {
		in = append(in, harness.Converse(t, o.host, &subject.Host, o.via, 80))
		out = append(out, harness.Converse(t, &subject.Host, o.host, netip.AddrPortFrom(o.host.Addr, 80), 80))
	}
	for i, o := range others {
		t.Run(o.name, func(t *testing.T) {
			set(o.host)
			for j := range others {
				if i == j {
					stops(t, in[j])
					stops(t, out[j])
					continue
				}
				must(t, in[j].Say(soon))
				must(t, out[j].Say(soon))
			}
			denied(t, &subject.Host, o.host, netip.AddrPortFrom(o.host.Addr, 80))
			denied(t, o.host, &subject.Host, o.via)
			set()
			for _, talk := range []*harness.Talk{in[i], out[i]} {
				must(t, talk.Hear(soon))
				must(t, talk.Say(soon))
			}
		})
	}
}

// denied fails the test if a new flow to port 80 of the server passes, over TCP
// or UDP.
func denied(t *testing.T, client, server *harness.Host, via netip.AddrPort) {
	t.Helper()
	defer server.Listen(80).Close()
	defer server.EchoUDP(80)()
	if client.EchoOnce(via, []byte("x"), never) == nil {
		t.Errorf("UDP of %s to %s is admitted", client.Addr, via)
	}
	if conn, err := client.Dial(via, never); err == nil {
		t.Errorf("TCP of %s to %s is admitted", client.Addr, via)
		_ = conn.Close()
	}
}
