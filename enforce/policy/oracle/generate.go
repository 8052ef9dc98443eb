package oracle

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
)

// The universes that clusters are drawn from: small, so that things meet.
var (
	namespaceNames = []string{"north", "south", "west"}
	labelKeys      = []string{"app", "tier", "job-name"}
	labelValues    = []string{"a", "b", "c", ""}
	namespaceKeys  = []string{"env", "team", "kubernetes.io/metadata.name"}
	portNumbers    = []uint16{1, 53, 79, 80, 81, 443, 511, 512, 513, 1024, 8080, 65534, 65535}
	portNames      = []string{"http", "dns", "metrics"}
	protocolNames  = []string{"TCP", "TCP", "UDP", "SCTP"}
	kinds          = []string{World, World, Host, RemoteNode, Unmanaged}
	operators      = []string{"In", "NotIn", "Exists", "DoesNotExist"}
)

// Generator invents clusters and packets. The same random source gives the
// same ones.
type Generator struct{ *rand.Rand }

// NewGenerator gives the generator of a seed.
func NewGenerator(seed uint64) Generator {
	return Generator{rand.New(rand.NewPCG(seed, 0))}
}

// Cluster invents a cluster: up to 3 namespaces, 8 pods and 6 policies of every
// shape that the API admits.
func (g Generator) Cluster() Cluster {
	var c Cluster
	for _, name := range namespaceNames[:1+g.IntN(len(namespaceNames))] {
		labels := g.labels(namespaceKeys[:2])
		labels["kubernetes.io/metadata.name"] = name
		c.Namespaces = append(c.Namespaces, Namespace{Name: name, Labels: labels})
	}
	for n := range 1 + g.IntN(8) {
		c.Pods = append(c.Pods, g.pod(c, n))
	}
	for n := range g.IntN(7) {
		c.Policies = append(c.Policies, g.policy(c, n))
	}
	return c
}

// Packet invents a packet with a pod of the cluster at one end at least.
func (g Generator) Packet(c Cluster) Packet {
	family := g.IntN(2)
	p := Packet{From: g.podEnd(c, family), To: g.podEnd(c, family)}
	switch g.IntN(4) {
	case 0:
		p.From = g.otherEnd(family)
	case 1:
		p.To = g.otherEnd(family)
	}
	if p.Protocol = "ICMP"; g.IntN(12) > 0 {
		p.Protocol, p.Port = pick(g, protocolNames), pick(g, portNumbers)
	}
	pod, isPod := c.Pod(p.To.Pod)
	if isPod && len(pod.Ports) > 0 && g.IntN(4) == 0 {
		port := pick(g, pod.Ports)
		p.Protocol, p.Port = port.Protocol, port.Port
	}
	return p
}

func (g Generator) pod(c Cluster, n int) Pod {
	pod := Pod{
		Namespace: pick(g, c.Namespaces).Name,
		Name:      fmt.Sprintf("pod-%d", n),
		Labels:    g.labels(labelKeys),
		IPs:       []netip.Addr{g.addr(0), g.addr(1)},
	}
	for range g.IntN(3) {
		pod.Ports = append(pod.Ports, ContainerPort{pick(g, portNames), pick(g, protocolNames), pick(g, portNumbers)})
	}
	return pod
}

func (g Generator) podEnd(c Cluster, family int) End {
	pod := pick(g, c.Pods)
	return End{Pod: pod.Namespace + "/" + pod.Name, Addr: pod.IPs[family]}
}

func (g Generator) otherEnd(family int) End {
	return End{Kind: pick(g, kinds), Addr: g.addr(family)}
}

// addr draws from 64 addresses of a family, spread over several prefixes; those
// of IPv6 are such as pods of one node can have.
func (g Generator) addr(family int) netip.Addr {
	n := byte(g.IntN(64))
	if family == 0 {
		return netip.AddrFrom4([4]byte{10, n >> 5, n >> 3 & 3 << 6, n & 7})
	}
	return netip.AddrFrom16([16]byte{0: 0xfd, 12: n >> 5, 13: n >> 3 & 3 << 6, 15: 16 + n&7})
}

func (g Generator) labels(keys []string) map[string]string {
	labels := map[string]string{}
	for _, key := range keys {
		if g.IntN(2) == 0 {
			labels[key] = pick(g, labelValues)
		}
	}
	return labels
}

func (g Generator) policy(c Cluster, n int) NetworkPolicy {
	policy := NetworkPolicy{
		Namespace:   pick(g, c.Namespaces).Name,
		Name:        fmt.Sprintf("policy-%d", n),
		PodSelector: g.selector(labelKeys),
		PolicyTypes: pick(g, [][]string{nil, {"Ingress"}, {"Egress"}, {"Ingress", "Egress"}}),
	}
	for range g.IntN(3) {
		policy.Ingress = append(policy.Ingress, g.rule())
	}
	for range g.IntN(3) {
		policy.Egress = append(policy.Egress, g.rule())
	}
	return policy
}

func (g Generator) rule() Rule {
	var rule Rule
	for range g.IntN(4) {
		rule.Peers = append(rule.Peers, g.peer())
	}
	for range g.IntN(3) {
		rule.Ports = append(rule.Ports, g.port())
	}
	return rule
}

func (g Generator) peer() Peer {
	pods, namespaces := g.selector(labelKeys), g.namespaceSelector()
	switch g.IntN(5) {
	case 0:
		return Peer{PodSelector: &pods}
	case 1:
		return Peer{NamespaceSelector: &namespaces}
	case 2:
		return Peer{PodSelector: &pods, NamespaceSelector: &namespaces}
	default:
		return Peer{IPBlock: g.block()}
	}
}

// block invents a prefix with up to three exceptions inside it.
func (g Generator) block() *IPBlock {
	addr := g.addr(g.IntN(2))
	bits := g.IntN(addr.BitLen() + 1)
	block := &IPBlock{CIDR: prefixOf(addr, bits)}
	for range g.IntN(4) {
		inside := g.addr(0)
		if addr.Is6() {
			inside = g.addr(1)
		}
		if !netip.MustParsePrefix(block.CIDR).Contains(inside) || bits == addr.BitLen() {
			continue
		}
		longer := bits + 1 + g.IntN(addr.BitLen()-bits)
		block.Except = append(block.Except, prefixOf(inside, longer))
	}
	return block
}

func prefixOf(addr netip.Addr, bits int) string {
	return netip.PrefixFrom(addr, bits).Masked().String()
}

func (g Generator) port() Port {
	port := Port{Protocol: pick(g, append([]string{""}, protocolNames...))}
	switch g.IntN(4) {
	case 0:
		port.Name = pick(g, portNames)
	case 1:
		port.Port = pick(g, portNumbers)
	case 2:
		a, b := pick(g, portNumbers), pick(g, portNumbers)
		port.Port, port.EndPort = min(a, b), max(a, b)
	}
	return port
}

func (g Generator) namespaceSelector() LabelSelector {
	selector := g.selector(namespaceKeys)
	if g.IntN(4) == 0 {
		selector.MatchLabels = map[string]string{"kubernetes.io/metadata.name": pick(g, namespaceNames)}
	}
	return selector
}

// selector invents up to two conditions, none in a third of the cases.
func (g Generator) selector(keys []string) LabelSelector {
	var selector LabelSelector
	for range g.IntN(3) {
		key := pick(g, keys)
		if g.IntN(2) == 0 {
			selector.MatchLabels = map[string]string{key: pick(g, labelValues)}
			continue
		}
		expression := Expression{Key: key, Operator: pick(g, operators)}
		if expression.Operator == "In" || expression.Operator == "NotIn" {
			for range 1 + g.IntN(2) {
				expression.Values = append(expression.Values, pick(g, append(namespaceNames, labelValues...)))
			}
		}
		selector.MatchExpressions = append(selector.MatchExpressions, expression)
	}
	return selector
}

func pick[T any](g Generator, list []T) T { return list[g.IntN(len(list))] }
