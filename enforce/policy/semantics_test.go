package policy

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/signet-cni/signet/identity"
)

// The cluster that the tables below judge over: pods by name, each with an
// address, and what is no pod.
type resident struct {
	namespace string
	labels    map[string]string
	addr      string
	ports     map[string]Port // named ports
}

var residents = map[string]resident{
	"web":    {"prod", map[string]string{"app": "web", "tier": "front"}, "10.0.1.1", map[string]Port{"http": {Protocol: TCP, First: 8080}, "dns": {Protocol: UDP, First: 53}}},
	"api":    {"prod", map[string]string{"app": "api"}, "10.0.1.2", nil},
	"db":     {"prod", map[string]string{"app": "db"}, "10.0.2.1", nil},
	"devweb": {"dev", map[string]string{"app": "web"}, "10.0.3.1", nil},
	"devapi": {"dev", map[string]string{"app": "api"}, "fd00::3:2", nil},
}

var others = map[string]struct {
	id   identity.ID
	addr string
}{
	"world": {identity.World, "192.0.2.7"}, "world6": {identity.World, "2001:db8::7"},
	"node": {identity.RemoteNode, "172.18.0.3"}, "host": {identity.Host, "172.18.0.2"},
	"unmanaged": {identity.Unmanaged, "10.0.9.9"}, "nobody": {identity.Unknown, "10.0.9.8"},
}

var environments = map[string]map[string]string{"prod": {"env": "prod"}, "dev": {"env": "dev"}}

func residentSet(name string) identity.Set {
	r := residents[name]
	return identity.NewSet(r.namespace, environments[r.namespace], r.labels, identity.DefaultIgnore())
}

func residentIDs() map[identity.ID]identity.Set {
	ids := map[identity.ID]identity.Set{}
	for name := range residents {
		ids[identity.Number(residentSet(name), 0)] = residentSet(name)
	}
	return ids
}

func whois(name string) (identity.ID, netip.Addr) {
	if r, ok := residents[name]; ok {
		return identity.Number(residentSet(name), 0), netip.MustParseAddr(r.addr)
	}
	return others[name].id, netip.MustParseAddr(others[name].addr)
}

// query reads "from to protocol/port", such as "web db tcp/3306" or
// "web db icmp".
func query(t *testing.T, text string) Query {
	t.Helper()
	fields := strings.Fields(text)
	var q Query
	q.Src, q.SrcAddr = whois(fields[0])
	q.Dst, q.DstAddr = whois(fields[1])
	protocol, port, hasPort := strings.Cut(fields[2], "/")
	q.Protocol = map[string]uint8{"tcp": 6, "udp": 17, "sctp": 132, "icmp": 1}[protocol]
	if q.HasPort = hasPort; hasPort {
		n, err := netip.ParseAddrPort("[::]:" + port)
		if err != nil {
			t.Fatal(err)
		}
		q.Port = n.Port()
	}
	for name, p := range residents[fields[1]].ports {
		if uint8(p.Protocol) == q.Protocol && p.First == q.Port {
			q.DstNames = append(q.DstNames, NameIDOf(name))
		}
	}
	return q
}

func sel(labels ...string) *identity.Selector {
	s := &identity.Selector{}
	for _, l := range labels {
		key, value, _ := strings.Cut(l, "=")
		s.Requirements = append(s.Requirements, identity.Requirement{Key: key, Operator: identity.In, Values: []string{value}})
	}
	return s
}

func op(key string, operator identity.Operator, values ...string) *identity.Selector {
	return &identity.Selector{Requirements: []identity.Requirement{{Key: key, Operator: operator, Values: values}}}
}

func block(cidr string, except ...string) Peer {
	b := IPBlock{CIDR: netip.MustParsePrefix(cidr)}
	for _, e := range except {
		b.Except = append(b.Except, netip.MustParsePrefix(e))
	}
	return Peer{Block: b}
}

func to(name, app string, rules ...Rule) Policy {
	return Policy{Namespace: "prod", Name: name, Subjects: *sel("app=" + app), IsolatesIngress: true, Ingress: rules}
}

func from(name, app string, rules ...Rule) Policy {
	return Policy{Namespace: "prod", Name: name, Subjects: *sel("app=" + app), IsolatesEgress: true, Egress: rules}
}

func peers(p ...Peer) Rule { return Rule{Peers: p} }
func ports(p ...Port) Rule { return Rule{Ports: p} }

// yes and no list queries by verdict.
type semantics struct {
	name     string
	policies []Policy
	yes, no  []string
}

func (c semantics) check(t *testing.T) {
	t.Run(c.name, func(t *testing.T) {
		table := Compile(residentIDs(), c.policies).Table
		for _, q := range c.yes {
			if v := table.Admits(query(t, q)); !v.Admitted() {
				t.Errorf("%s: denied, %+v", q, v)
			}
		}
		for _, q := range c.no {
			if v := table.Admits(query(t, q)); v.Admitted() {
				t.Errorf("%s: admitted, %+v", q, v)
			}
		}
	})
}

func TestPeers(t *testing.T) {
	everywhere := &identity.Selector{}
	for _, c := range []semantics{
		{"no policy", nil, []string{"web db tcp/1", "world db icmp", "db world udp/53", "node db tcp/1"}, []string{"nobody db tcp/1", "db nobody tcp/1"}},
		{
			"isolated without rules",
			[]Policy{to("p", "db")},
			[]string{"db web tcp/1", "web api tcp/1"},
			[]string{"web db tcp/1", "world db tcp/1", "node db icmp", "host db tcp/1"},
		},
		{
			"rule without peers",
			[]Policy{to("p", "db", Rule{})},
			[]string{"web db tcp/1", "world db icmp", "node db tcp/1", "unmanaged db tcp/1", "world6 db tcp/1"},
			[]string{"nobody db tcp/1"},
		},
		{
			"empty podSelector",
			[]Policy{to("p", "db", peers(Peer{Pods: everywhere}))},
			[]string{"web db tcp/1", "db db tcp/1"},
			[]string{"devweb db tcp/1", "world db tcp/1", "node db tcp/1", "unmanaged db tcp/1"},
		},
		{
			"podSelector",
			[]Policy{to("p", "db", peers(Peer{Pods: sel("app=web")}))},
			[]string{"web db icmp"},
			[]string{"api db tcp/1", "devweb db tcp/1"},
		},
		{
			"empty namespaceSelector",
			[]Policy{to("p", "db", peers(Peer{Namespaces: everywhere}))},
			[]string{"web db tcp/1", "devweb db tcp/1", "devapi db icmp"},
			[]string{"world db tcp/1", "node db tcp/1", "host db tcp/1", "unmanaged db tcp/1"},
		},
		{
			"namespaceSelector",
			[]Policy{to("p", "db", peers(Peer{Namespaces: sel("env=dev")}))},
			[]string{"devweb db tcp/1"},
			[]string{"web db tcp/1"},
		},
		{
			"namespace by name",
			[]Policy{to("p", "db", peers(Peer{Namespaces: sel("kubernetes.io/metadata.name=dev")}))},
			[]string{"devweb db tcp/1"},
			[]string{"web db tcp/1"},
		},
		{
			"both selectors",
			[]Policy{to("p", "db", peers(Peer{Namespaces: sel("env=dev"), Pods: sel("app=web")}))},
			[]string{"devweb db tcp/1"},
			[]string{"devapi db tcp/1", "web db tcp/1"},
		},
		{
			"both selectors, any namespace",
			[]Policy{to("p", "db", peers(Peer{Namespaces: everywhere, Pods: sel("app=web")}))},
			[]string{"devweb db tcp/1", "web db tcp/1"},
			[]string{"devapi db tcp/1"},
		},
		{
			"several peers",
			[]Policy{to("p", "db", peers(Peer{Namespaces: sel("env=dev")}, Peer{Pods: sel("app=web")}))},
			[]string{"devweb db tcp/1", "devapi db tcp/1", "web db tcp/1"},
			[]string{"api db tcp/1"},
		},
		{
			"NotIn",
			[]Policy{to("p", "db", peers(Peer{Pods: op("tier", identity.NotIn, "front")}))},
			[]string{"api db tcp/1"},
			[]string{"web db tcp/1", "devweb db tcp/1"},
		},
		{
			"Exists",
			[]Policy{to("p", "db", peers(Peer{Pods: op("tier", identity.Exists)}))},
			[]string{"web db tcp/1"},
			[]string{"api db tcp/1"},
		},
		{
			"DoesNotExist",
			[]Policy{to("p", "db", peers(Peer{Pods: op("tier", identity.DoesNotExist)}))},
			[]string{"api db tcp/1"},
			[]string{"web db tcp/1"},
		},
		{
			"subjects of another namespace",
			[]Policy{{Namespace: "dev", Name: "p", IsolatesIngress: true}},
			[]string{"web db tcp/1"},
			[]string{"web devweb tcp/1"},
		},
		{
			"egress",
			[]Policy{from("p", "db", peers(Peer{Pods: sel("app=web")}))},
			[]string{"db web tcp/1", "world db tcp/1"},
			[]string{"db api tcp/1", "db world tcp/1", "db node tcp/1"},
		},
		{
			"both sides must admit",
			[]Policy{from("p", "web", Rule{}), to("q", "db", peers(Peer{Pods: sel("app=api")}))},
			[]string{"web world tcp/1", "api db tcp/1"},
			[]string{"web db tcp/1"},
		},
		{
			"union",
			[]Policy{to("p", "db", peers(Peer{Pods: sel("app=web")})), to("q", "db", ports(Port{Protocol: TCP, First: 5, Last: 5}))},
			[]string{"web db tcp/1", "api db tcp/5", "world db tcp/5"},
			[]string{"api db tcp/1", "world db udp/5"},
		},
		{
			"unparsable subject",
			[]Policy{{Namespace: "prod", Name: "p", Subjects: identity.Unparsable(), IsolatesIngress: true, Ingress: []Rule{{}}}},
			[]string{"web devweb tcp/1"},
			[]string{"web db tcp/1", "world web tcp/1"},
		},
		{
			"unparsable peer",
			[]Policy{to("p", "db", peers(Peer{Pods: &identity.Selector{Requirements: identity.Unparsable().Requirements}}))},
			nil,
			[]string{"web db tcp/1", "world db tcp/1"},
		},
		{"zero peer", []Policy{to("p", "db", peers(Peer{}))}, nil, []string{"web db tcp/1", "world db tcp/1"}},
		{
			"rules of a direction that is not isolated",
			[]Policy{{Namespace: "prod", Name: "p", Subjects: *sel("app=db"), IsolatesIngress: true, Egress: []Rule{{}}}},
			[]string{"db web tcp/1"},
			[]string{"web db tcp/1"},
		},
	} {
		c.check(t)
	}
}

func TestPorts(t *testing.T) {
	tcp := func(first, last uint16) Port { return Port{Protocol: TCP, First: first, Last: last} }
	for _, c := range []semantics{
		{
			"number",
			[]Policy{to("p", "web", ports(tcp(80, 80)))},
			[]string{"api web tcp/80"},
			[]string{"api web tcp/79", "api web tcp/81", "api web udp/80", "api web sctp/80", "api web icmp", "api web tcp"},
		},
		{
			"protocol alone",
			[]Policy{to("p", "web", ports(Port{Protocol: UDP}))},
			[]string{"api web udp/1", "api web udp/65535", "api web udp"},
			[]string{"api web tcp/1", "api web icmp"},
		},
		{
			"sctp",
			[]Policy{to("p", "web", ports(Port{Protocol: SCTP, First: 9, Last: 9}))},
			[]string{"api web sctp/9"},
			[]string{"api web tcp/9", "api web udp/9", "api web sctp/8"},
		},
		{
			"range over chunks",
			[]Policy{to("p", "web", ports(tcp(500, 1600)))},
			[]string{"api web tcp/500", "api web tcp/511", "api web tcp/512", "api web tcp/1023", "api web tcp/1024", "api web tcp/1600"},
			[]string{"api web tcp/499", "api web tcp/1601", "api web tcp/65535"},
		},
		{
			"ends",
			[]Policy{to("p", "web", ports(tcp(1, 1), tcp(65535, 65535)))},
			[]string{"api web tcp/1", "api web tcp/65535"},
			[]string{"api web tcp/2", "api web tcp/65534"},
		},
		{"all by range", []Policy{to("p", "web", ports(tcp(1, 65535)))}, []string{"api web tcp/1", "api web tcp"}, []string{"api web udp/1"}},
		{"all by two ranges", []Policy{to("p", "web", ports(tcp(1, 99), tcp(100, 65535)))}, []string{"api web tcp"}, nil},
		{
			"several",
			[]Policy{to("p", "web", ports(tcp(80, 80), Port{Protocol: UDP, First: 53, Last: 53}))},
			[]string{"api web tcp/80", "api web udp/53"},
			[]string{"api web tcp/53", "api web udp/80"},
		},
		{
			"name",
			[]Policy{to("p", "web", ports(Port{Protocol: TCP, Name: "http"}))},
			[]string{"api web tcp/8080"},
			[]string{"api web tcp/80", "api web udp/8080", "api web icmp"},
		},
		{
			"name for egress",
			[]Policy{from("p", "api", ports(Port{Protocol: TCP, Name: "http"}))},
			[]string{"api web tcp/8080"},
			[]string{"api web tcp/80", "api db tcp/8080", "api world tcp/8080"},
		},
		{
			"name with a wrong protocol",
			[]Policy{to("p", "web", ports(Port{Protocol: TCP, Name: "dns"}))},
			nil,
			[]string{"api web udp/53", "api web tcp/53"},
		},
		{"name not present", []Policy{to("p", "db", ports(Port{Protocol: TCP, Name: "http"}))}, nil, []string{"api db tcp/8080"}},
		{
			"peer and port",
			[]Policy{to("p", "web", Rule{Peers: []Peer{{Pods: sel("app=api")}}, Ports: []Port{tcp(80, 80)}})},
			[]string{"api web tcp/80"},
			[]string{"api web tcp/81", "db web tcp/80"},
		},
		{
			"ports do not cross rules",
			[]Policy{to("p", "web",
				Rule{Peers: []Peer{{Pods: sel("app=api")}}, Ports: []Port{tcp(80, 80)}},
				Rule{Peers: []Peer{{Pods: sel("app=db")}}, Ports: []Port{tcp(81, 81)}})},
			[]string{"api web tcp/80", "db web tcp/81"},
			[]string{"api web tcp/81", "db web tcp/80"},
		},
		{
			"any pod's ports merge into a class row",
			[]Policy{to("p", "web",
				Rule{Peers: []Peer{{Namespaces: &identity.Selector{}}}, Ports: []Port{tcp(82, 82)}},
				Rule{Peers: []Peer{{Pods: sel("app=api")}}, Ports: []Port{tcp(80, 80)}}, ports(tcp(83, 83)))},
			[]string{"api web tcp/80", "api web tcp/82", "api web tcp/83", "db web tcp/82", "world web tcp/83"},
			[]string{"db web tcp/80", "world web tcp/82", "node web tcp/80"},
		},
		{"protocol that no policy can name", []Policy{to("p", "web", ports(Port{Protocol: 1}))}, nil, []string{"api web icmp", "api web tcp/1"}},
		{"range the wrong way round", []Policy{to("p", "web", ports(tcp(90, 80)))}, nil, []string{"api web tcp/80", "api web tcp/90"}},
		{"name and number", []Policy{to("p", "web", ports(Port{Protocol: TCP, Name: "http", First: 1, Last: 1}))}, nil, []string{"api web tcp/1", "api web tcp/8080"}},
		{"any protocol", []Policy{to("p", "web", ports(Port{}))}, []string{"api web icmp", "api web tcp/1"}, nil},
		{
			"any protocol, one number",
			[]Policy{to("p", "web", ports(Port{First: 7, Last: 7}))},
			[]string{"api web tcp/7", "api web udp/7", "api web sctp/7"},
			[]string{"api web icmp", "api web tcp/8"},
		},
	} {
		c.check(t)
	}
}
