package datapath

import (
	"errors"
	"net/netip"
	"testing"

	"github.com/signet-cni/signet/enforce/policy"
	"github.com/signet-cni/signet/identity"
)

// blocks lets A be reached from addresses only: by the longest prefix.
func blocks(rows map[string]policy.PortFlags) *policy.Table {
	t := ingress(openTable(), idA)
	entry := t.Identities[idA]
	entry.IngressCIDRs = true
	t.Identities[idA] = entry
	for prefix, flags := range rows {
		key := policy.CIDRKey{RuleSet: entry.Ingress, Prefix: netip.MustParsePrefix(prefix)}
		t.CIDRs[key] = policy.Ports{Set: 1, Flags: flags}
	}
	return t
}

// alike adds to each IPv4 block its counterpart in IPv6.
func alike(rows map[string]policy.PortFlags) map[string]policy.PortFlags {
	all := map[string]policy.PortFlags{}
	for text, flags := range rows {
		block := netip.MustParsePrefix(text)
		twin := netip.PrefixFrom(netip.IPv6Unspecified(), 0)
		if block.Bits() > 0 {
			twin = netip.PrefixFrom(six(block.Addr()), block.Bits()+96)
		}
		all[text], all[twin.String()] = flags, flags
	}
	return all
}

// onPorts lets the far pod reach A on the ports of a set only.
func onPorts(flags policy.PortFlags, chunks map[policy.ChunkKey]policy.Chunk, names ...policy.NameKey) *policy.Table {
	t := ingress(openTable(), idA, idFar)
	for key := range t.Rules {
		t.Rules[key] = policy.Ports{Set: 7, Flags: flags}
	}
	t.Chunks = chunks
	for _, name := range names {
		t.Names[name] = struct{}{}
	}
	return t
}

// Rows of every kind, at their edges.
func TestRows(t *testing.T) {
	from := func(port string) ipv4 { return tcp(addrFar+":4000", addrA+":"+port, "S") }
	chunk := map[policy.ChunkKey]policy.Chunk{
		{Set: 7, Protocol: policy.TCP, Chunk: 0}:   {7: 1 << 63}, // 511
		{Set: 7, Protocol: policy.TCP, Chunk: 1}:   {0: 1},       // 512
		{Set: 7, Protocol: policy.TCP, Chunk: 127}: {7: 1 << 63}, // 65535
	}
	named := podA()
	named.Ports = []NamedPort{
		{Name: "web", Protocol: policy.TCP, Port: 80},
		{Name: "also", Protocol: policy.TCP, Port: 80},
		{Name: "web", Protocol: policy.UDP, Port: 81},
	}
	isNamed := func(n *node) string {
		must(n.t, errors.Join(n.SetEndpoint(named), n.SetEndpoint(sixth(named))))
		return ""
	}
	also := policy.NameKey{Set: 7, Name: policy.NameIDOf("also"), Protocol: policy.TCP}
	tell(t, []story{
		{"a block holds no address of the other family", []step{
			{loads(blocks(map[string]policy.PortFlags{"::/0": policy.AllTraffic})), ""},
			{onlyIPv4(far(idFar, from("80"))), "policy-ingress"},
			{loads(blocks(map[string]policy.PortFlags{"0.0.0.0/0": policy.AllTraffic})), ""},
			{onlyIPv6(far(idFar, from("80"))), "policy-ingress"},
		}},
		{"the longest prefix decides", []step{
			{loads(blocks(alike(map[string]policy.PortFlags{"0.0.0.0/0": policy.AllTraffic, "10.244.2.8/31": 0}))), ""},
			{far(idFar, from("80")), "policy-ingress"},
			{far(idFar, tcp(addrFar2+":4000", addrA+":80", "S")), "pod"},
			{deliver(podA(), "uplink", tcp(world+":4000", addrA+":80", "S")), "pod"},
		}},
		{"port numbers", []step{
			{loads(onPorts(policy.SomeTCP, chunk)), ""},
			{far(idFar, from("510")), "policy-ingress"},
			{far(idFar, from("511")), "pod"},
			{far(idFar, from("512")), "pod"},
			{far(idFar, from("513")), "policy-ingress"},
			{far(idFar, from("65535")), "pod"},
			{far(idFar, from("65534")), "policy-ingress"},
			{far(idFar, udp(addrFar+":4000", addrA+":511")), "policy-ingress"},
			{far(idFar, echo(addrFar+":511", addrA+":0")), "policy-ingress"},
			{far(idFar, swapped(numbered(47))), "policy-ingress"},
		}},
		{"port names", []step{
			{isNamed, ""},
			{loads(onPorts(policy.NamedPorts, nil, also)), ""},
			{far(idFar, from("80")), "pod"},
			{far(idFar, from("81")), "policy-ingress"},
			{far(idFar, udp(addrFar+":4000", addrA+":81")), "policy-ingress"},
			{relabels(podA(), idA), ""}, // and takes its names away
			{far(idFar, from("80")), "policy-ingress"},
		}},
		{"later fragments, by the first one's ports", []step{
			{loads(onPorts(policy.SomeTCP, chunk)), ""},
			{far(idFar, from("511").fragments(1, 24)[0]), "pod"},
			{far(idFar, from("511").fragments(1, 24)[1]), "pod"},
			{far(idFar, from("510").fragments(2, 24)[0]), "policy-ingress"},
			{far(idFar, from("510").fragments(2, 24)[1]), "policy-ingress"},
			{far(idFar, from("511").fragments(3, 24)[1]), "fragment-without-first"},
		}},
		{"a forged first fragment says nothing for another's", []step{
			{pod(endpoint(addrA, "podB", idA, 1), opensFar.fragments(5, 24)[0]), "spoofed-address"},
			{pod(podA(), opensFar.fragments(5, 24)[1]), "fragment-without-first"},
		}},
		{"a pod reaches itself", []step{
			{loads(ingress(egress(openTable(), idA), idA)), ""},
			{pod(podA(), tcp(addrA+":4000", addrA+":80", "S")), "pod"},
		}},
		{"classes of peers that are no pods", []step{
			{loads(ingress(openTable(), idA, identity.World)), ""},
			{deliver(podA(), "uplink", tcp(world+":4000", addrA+":80", "S")), "pod"},
			{far(identity.Host, tcp(farHost+":4000", addrA+":80", "S")), "pod"},
			{far(idFar, from("80")), "policy-ingress"},
		}},
	})
}
