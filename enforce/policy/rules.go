package policy

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/signet-cni/signet/identity"
)

// scope says how a peer is looked up.
type scope uint8

const (
	scopeEverything scope = iota // every peer, pod or not
	scopeAnyPod                  // every pod
	scopeSelected                // pods by selectors
	scopeBlock                   // addresses
)

// peer is a Peer in its normal form. Peers with equal keys match the same.
type peer struct {
	key        string
	scope      scope
	namespace  string             // scopeSelected: the one namespace, or "" with
	namespaces *identity.Selector // which namespaces
	nsKey      string             // key of namespaces
	pods       identity.Selector  // scopeSelected
	cidr       netip.Prefix       // scopeBlock, masked
	except     []netip.Prefix     // inside cidr, masked, sorted, unique
}

var everyPeer = &peer{key: "everything", scope: scopeEverything}

// rule is a Rule of one policy in its normal form.
type rule struct {
	ref   RuleRef
	peers []*peer
	ports *portSet
}

// normalisePeer brings a peer of a policy in namespace into its normal form. It
// returns a reason if the peer cannot match anything.
func normalisePeer(namespace string, p Peer) (*peer, error) {
	switch {
	case p.Block.CIDR.IsValid():
		return normaliseBlock(p.Block)
	case p.Namespaces == nil && p.Pods == nil:
		return nil, fmt.Errorf("a peer without selectors and without a valid ipBlock")
	}
	n := &peer{scope: scopeSelected}
	if p.Pods != nil {
		n.pods = *p.Pods
	}
	if p.Namespaces == nil {
		n.namespace = namespace
		n.key = fmt.Sprintf("pods %s in namespace %s", n.pods.Key(), namespace)
		return n, nil
	}
	if p.Namespaces.MatchesAll() && n.pods.MatchesAll() {
		return &peer{scope: scopeAnyPod, key: "every pod"}, nil
	}
	n.namespaces, n.nsKey = p.Namespaces, p.Namespaces.Key()
	n.key = fmt.Sprintf("pods %s in namespaces %s", n.pods.Key(), n.nsKey)
	return n, nil
}

// normaliseBlock leaves out exceptions that take nothing away. It returns a
// reason if one of them takes everything.
func normaliseBlock(block IPBlock) (*peer, error) {
	n := &peer{scope: scopeBlock, cidr: unmapped(block.CIDR)}
	for _, except := range block.Except {
		except = unmapped(except)
		if !except.IsValid() {
			return nil, fmt.Errorf("ipBlock %s with an exception that is no prefix", block.CIDR)
		}
		if except.Bits() <= n.cidr.Bits() && except.Contains(n.cidr.Addr()) {
			return nil, fmt.Errorf("ipBlock %s with the exception %s, which leaves nothing of it", block.CIDR, except)
		}
		if n.cidr.Contains(except.Addr()) {
			n.except = append(n.except, except)
		}
	}
	slices.SortFunc(n.except, netip.Prefix.Compare)
	n.except = slices.Compact(n.except)
	parts := make([]string, 0, len(n.except))
	for _, except := range n.except {
		parts = append(parts, except.String())
	}
	n.key = fmt.Sprintf("block %s except %s", n.cidr, strings.Join(parts, ","))
	return n, nil
}

// unmapped gives a prefix without host bits, one over IPv4-mapped IPv6 addresses
// as the IPv4 prefix that the API takes it for.
func unmapped(prefix netip.Prefix) netip.Prefix {
	if prefix.Addr().Is4In6() && prefix.Bits() >= 96 {
		prefix = netip.PrefixFrom(prefix.Addr().Unmap(), prefix.Bits()-96)
	}
	return prefix.Masked()
}

// addPort adds a port of a policy to a set that is not in normal form. It
// returns a reason if the port cannot match anything.
func (s *portSet) addPort(p Port) error {
	numbered := p.First != 0 || p.Last != 0
	switch {
	case p.Name != "" && numbered:
		return fmt.Errorf("a port with both the name %q and a number", p.Name)
	case p.First > p.Last:
		return fmt.Errorf("a port range from %d to %d", p.First, p.Last)
	case p.Protocol == AnyProtocol && p.Name == "" && !numbered:
		s.everything = true
		return nil
	case p.Protocol != AnyProtocol && !slices.Contains(protocols[:], p.Protocol):
		return fmt.Errorf("a port of IP protocol %d: want TCP, UDP or SCTP", p.Protocol)
	}
	for n, protocol := range protocols {
		if p.Protocol != AnyProtocol && p.Protocol != protocol {
			continue
		}
		switch ports := &s.of[n]; {
		case p.Name != "":
			ports.names = append(ports.names, p.Name)
		case numbered:
			ports.ranges = append(ports.ranges, portRange{p.First, p.Last})
		default:
			ports.all = true
		}
	}
	return nil
}

// normaliser turns policies into their normal form, each distinct peer and port
// set once.
type normaliser struct {
	pool  *portPool
	peers map[string]*peer // by key; those that a policy names
	named map[*peer]int    // how often
	last  uint32           // serial of a policy
}

func newNormaliser(pool *portPool) *normaliser {
	return &normaliser{pool: pool, peers: map[string]*peer{}, named: map[*peer]int{}}
}

func (n *normaliser) policy(p Policy) *compiled {
	n.last++
	c := &compiled{
		ref: p.Ref(), serial: n.last, subjects: p.Subjects, isolates: [2]bool{p.IsolatesIngress, p.IsolatesEgress},
	}
	if p.IsolatesIngress {
		c.rules[Ingress] = n.rules(c, Ingress, p.Ingress)
	}
	if p.IsolatesEgress {
		c.rules[Egress] = n.rules(c, Egress, p.Egress)
	}
	return c
}

// count takes in which policies came and left, and gives the peers that any
// names for the first time, and those that none names any more.
func (n *normaliser) count(came, left []*compiled) (born, dead []*peer) {
	for _, c := range came {
		c.peers(func(p *peer) {
			if n.named[p]++; n.named[p] == 1 {
				born = append(born, p)
			}
		})
	}
	for _, c := range left {
		c.peers(func(p *peer) {
			if n.named[p]--; n.named[p] == 0 {
				dead = append(dead, p)
				delete(n.named, p)
				delete(n.peers, p.key)
			}
		})
	}
	return born, dead
}

func (n *normaliser) rules(c *compiled, direction Direction, rules []Rule) []rule {
	out := make([]rule, 0, len(rules))
	for index, r := range rules {
		at := RuleRef{Policy: c.ref, Direction: direction, Index: index}
		problem := func(port bool, err error) {
			c.problems = append(c.problems, Problem{Rule: at, Port: port, Reason: err.Error() + " admits nothing"})
		}
		out = append(out, rule{ref: at, peers: n.rulePeers(at, r.Peers, problem), ports: n.rulePorts(r.Ports, problem)})
	}
	return out
}

func (n *normaliser) rulePeers(at RuleRef, peers []Peer, problem func(port bool, err error)) []*peer {
	if len(peers) == 0 {
		return []*peer{everyPeer}
	}
	out := make([]*peer, 0, len(peers))
	for _, p := range peers {
		normal, err := normalisePeer(at.Policy.Namespace, p)
		if err != nil {
			problem(false, err)
			continue
		}
		if known, ok := n.peers[normal.key]; ok {
			normal = known
		}
		n.peers[normal.key] = normal
		out = append(out, normal)
	}
	return out
}

func (n *normaliser) rulePorts(ports []Port, problem func(port bool, err error)) *portSet {
	set := &portSet{everything: len(ports) == 0}
	for _, p := range ports {
		if err := set.addPort(p); err != nil {
			problem(true, err)
		}
	}
	return n.pool.intern(set)
}
