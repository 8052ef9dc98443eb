package policy

import (
	"net/netip"
	"testing"
)

func TestBlocks(t *testing.T) {
	port := func(n uint16, p ...Peer) Rule {
		return Rule{Peers: p, Ports: []Port{{Protocol: TCP, First: n, Last: n}}}
	}
	for _, c := range []semantics{
		{
			"world",
			[]Policy{to("p", "db", peers(block("192.0.2.0/24")))},
			[]string{"world db tcp/1"},
			[]string{"web db tcp/1", "node db tcp/1", "world6 db tcp/1"},
		},
		{"node", []Policy{to("p", "db", peers(block("172.18.0.3/32")))}, []string{"node db tcp/1"}, []string{"host db tcp/1"}},
		{"pods", []Policy{to("p", "db", peers(block("10.0.1.0/24")))}, []string{"web db tcp/1", "api db tcp/1"}, []string{"devweb db tcp/1"}},
		{
			"except",
			[]Policy{to("p", "db", peers(block("10.0.0.0/8", "10.0.1.0/24")))},
			[]string{"devweb db tcp/1", "unmanaged db tcp/1"},
			[]string{"web db tcp/1", "api db tcp/1"},
		},
		{
			"except of a pod that a selector admits",
			[]Policy{to("p", "db", peers(block("10.0.0.0/8", "10.0.1.0/24"), Peer{Pods: sel("app=web")}))},
			[]string{"web db tcp/1"},
			[]string{"api db tcp/1"},
		},
		{
			"except of one block inside another",
			[]Policy{to("p", "db", port(1, block("10.0.0.0/8", "10.0.1.0/24")), port(2, block("10.0.1.2/32")), port(3, block("10.0.0.0/16")))},
			[]string{"api db tcp/2", "api db tcp/3", "web db tcp/3", "devweb db tcp/1", "devweb db tcp/3"},
			[]string{"api db tcp/1", "web db tcp/1", "web db tcp/2", "devweb db tcp/2"},
		},
		{"everything in IPv4", []Policy{to("p", "db", peers(block("0.0.0.0/0")))}, []string{"world db tcp/1", "web db icmp"}, []string{"world6 db tcp/1", "devapi db tcp/1"}},
		{"everything in IPv6", []Policy{to("p", "db", peers(block("::/0")))}, []string{"world6 db tcp/1", "devapi db tcp/1"}, []string{"world db tcp/1", "web db tcp/1"}},
		{
			"IPv4-mapped",
			[]Policy{to("p", "db", peers(block("::ffff:10.0.0.0/104", "::ffff:10.0.1.0/120", "10.0.9.0/24")))},
			[]string{"devweb db tcp/1"},
			[]string{"web db tcp/1", "unmanaged db tcp/1", "world db tcp/1"},
		},
		{"IPv4-mapped except", []Policy{to("p", "db", peers(block("10.0.0.0/8", "::ffff:10.0.1.0/120")))}, []string{"devweb db tcp/1"}, []string{"web db tcp/1"}},
		{"host bits are set", []Policy{to("p", "db", peers(block("192.0.2.99/24")))}, []string{"world db tcp/1"}, nil},
		{"egress", []Policy{from("p", "db", peers(block("192.0.2.0/24", "192.0.2.8/29")))}, []string{"db world tcp/1"}, []string{"db web tcp/1", "db world6 tcp/1"}},
		{"except that leaves nothing", []Policy{to("p", "db", peers(block("192.0.2.0/24", "192.0.0.0/16")))}, nil, []string{"world db tcp/1"}},
		{"except outside", []Policy{to("p", "db", peers(block("192.0.2.0/24", "10.0.0.0/8", "2001:db8::/32")))}, []string{"world db tcp/1"}, []string{"web db tcp/1", "world6 db tcp/1"}},
		{"except of another family", []Policy{to("p", "db", peers(block("192.0.2.0/24", "::/0")))}, []string{"world db tcp/1"}, nil},
		{
			"except that is no prefix",
			[]Policy{to("p", "db", peers(Peer{Block: IPBlock{CIDR: netip.MustParsePrefix("0.0.0.0/0"), Except: []netip.Prefix{{}}}}))},
			nil,
			[]string{"world db tcp/1"},
		},
	} {
		c.check(t)
	}
}
