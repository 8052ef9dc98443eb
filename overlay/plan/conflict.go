package plan

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"

	"golang.zx2c4.com/wireguard/wgctrl/wgtypes"

	"github.com/signet-cni/signet/overlay"
)

// claim is something that only one node can hold.
type claim struct {
	reason Reason // of refusing the others
	value  string
}

// contender is one candidate in the contest; number 0 is this node.
type contender struct {
	candidate
	refusals []Refusal
}

// judge checks every node but self and settles their conflicts. Both results
// are sorted.
func judge(own candidate, nodes []overlay.Node, cfg Config) ([]candidate, []Refusal) {
	var refused []Refusal
	field := []*contender{{candidate: own}}
	for _, n := range sorted(nodes) {
		if n.Name == own.node.Name {
			continue
		}
		c, refusal := check(n, cfg)
		if refusal != nil {
			refused = append(refused, *refusal)
			continue
		}
		field = append(field, &contender{candidate: c})
	}
	held := incumbents(own, cfg.Accepted)
	settleClaims(field, held)
	settleRanges(field, held)
	var good []candidate
	for _, c := range field[1:] {
		if len(c.refusals) == 0 {
			good = append(good, c.candidate)
		}
		refused = append(refused, c.refusals...)
	}
	nameHosts(refused, nodes, append(good, own))
	slices.SortFunc(refused, compareRefusal)
	return good, slices.Compact(refused)
}

// nameHosts names the node among whose pods a refused endpoint is.
func nameHosts(refused []Refusal, nodes []overlay.Node, good []candidate) {
	for i, r := range refused {
		if r.Reason != BadEndpoint {
			continue
		}
		n := nodes[slices.IndexFunc(nodes, func(n overlay.Node) bool { return n.Name == r.Node })]
		host := slices.IndexFunc(good, func(c candidate) bool { return c.pods.Contains(n.Endpoint.Addr()) })
		if host >= 0 {
			refused[i].Other = good[host].node.Name
		}
	}
}

// sorted orders a copy of nodes by name, and by key where names are equal.
func sorted(nodes []overlay.Node) []overlay.Node {
	return slices.SortedFunc(slices.Values(nodes), func(a, b overlay.Node) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.PublicKey.String(), b.PublicKey.String()))
	})
}

func compareRefusal(a, b Refusal) int {
	return cmp.Or(cmp.Compare(a.Node, b.Node), cmp.Compare(a.Reason, b.Reason),
		cmp.Compare(a.Other, b.Other), cmp.Compare(a.Detail, b.Detail))
}

// claimsOf lists what a node wants for itself. The IPv4 pod CIDR is not compared
// for equality but for overlap, see settleRanges; those of IPv6 are all /64.
func claimsOf(c candidate) []claim {
	claims := []claim{{DuplicateName, c.node.Name}, {DuplicateKey, c.node.PublicKey.String()}}
	detour := c.node.Detour.PublicKey != wgtypes.Key{}
	if detour {
		claims = append(claims, claim{DuplicateKey, c.node.Detour.PublicKey.String()})
	}
	if c.node.Endpoint.IsValid() {
		claims = append(claims, claim{SameEndpoint, c.node.Endpoint.String()})
	}
	if c.node.Endpoint.IsValid() && detour {
		claims = append(claims, claim{SameEndpoint, overlay.DetourEndpoint(c.node.Endpoint).String()})
	}
	for _, a := range slices.Concat(c.addresses, c.addresses6) {
		claims = append(claims, claim{DuplicateAddress, a.String()})
	}
	if c.pods.V6.IsValid() {
		claims = append(claims, rangeClaim(c.pods.V6))
	}
	return claims
}

// incumbents maps each claim that was granted before to its holder's name.
// This node's come last: nobody else can ever have held them.
func incumbents(own candidate, accepted []overlay.Node) map[claim]string {
	held := map[claim]string{}
	for _, n := range accepted {
		for _, p := range n.PodCIDRs {
			held[rangeClaim(p)] = n.Name
		}
		for _, cl := range claimsOf(candidate{node: n, addresses: n.Addresses}) {
			held[cl] = n.Name
		}
	}
	held[rangeClaim(own.pods.V4)] = own.node.Name
	for _, cl := range claimsOf(own) {
		held[cl] = own.node.Name
	}
	return held
}

func rangeClaim(p netip.Prefix) claim { return claim{OverlappingCIDR, p.String()} }

// settleClaims refuses every contender for a claim that it does not hold, if
// there is more than one.
func settleClaims(field []*contender, held map[claim]string) {
	contenders := map[claim][]*contender{}
	for _, c := range field {
		for _, cl := range claimsOf(c.candidate) {
			contenders[cl] = append(contenders[cl], c)
		}
	}
	for cl, cs := range contenders {
		if len(cs) < 2 {
			continue
		}
		for _, c := range cs {
			if c.node.Name != held[cl] || cl.reason == DuplicateName {
				c.refuse(cl.reason, rival(cs, c, held[cl]), describeClaim(cl))
			}
		}
	}
}

// rival picks whom to name beside c: the holder, or else the first other.
func rival(cs []*contender, c *contender, holder string) *contender {
	others := slices.DeleteFunc(slices.Clone(cs), func(o *contender) bool { return o == c })
	if i := slices.IndexFunc(others, func(o *contender) bool { return o.node.Name == holder }); i >= 0 {
		return others[i]
	}
	return others[0]
}

func describeClaim(cl claim) string {
	what := map[Reason]string{
		DuplicateName: "name", DuplicateKey: "key", SameEndpoint: "endpoint", DuplicateAddress: "address", OverlappingCIDR: "pod CIDR",
	}
	return fmt.Sprintf("%s %s", what[cl.reason], cl.value)
}

// settleRanges finds overlapping IPv4 pod CIDRs in one sweep by first address: two
// prefixes overlap only if one contains the other.
func settleRanges(field []*contender, held map[claim]string) {
	byRange := slices.Clone(field)
	slices.SortStableFunc(byRange, func(a, b *contender) int { return comparePrefix(a.pods.V4, b.pods.V4) })
	outer := byRange[0]
	for _, c := range byRange[1:] {
		if !outer.pods.V4.Contains(c.pods.V4.Addr()) {
			outer = c
			continue
		}
		detail := fmt.Sprintf("pod CIDRs %s and %s overlap", outer.pods.V4, c.pods.V4)
		if held[rangeClaim(outer.pods.V4)] != outer.node.Name {
			outer.refuse(OverlappingCIDR, c, detail)
		}
		if held[rangeClaim(c.pods.V4)] != c.node.Name {
			c.refuse(OverlappingCIDR, outer, detail)
		} else if c.pods.V4 == outer.pods.V4 {
			outer = c // those that follow are in conflict with the holder
		}
	}
}

func (c *contender) refuse(reason Reason, other *contender, detail string) {
	c.refusals = append(c.refusals, Refusal{Node: c.node.Name, Other: other.node.Name, Reason: reason, Detail: detail})
}
