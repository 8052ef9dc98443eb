package datapath

import (
	"net/netip"

	"github.com/signet-cni/signet/enforce/policy"
	"github.com/signet-cni/signet/identity"
)

// openTable knows every identity of the tests, and isolates none.
func openTable() *policy.Table {
	t := &policy.Table{
		Identities: map[identity.ID]policy.Entry{},
		Rules:      map[policy.RuleKey]policy.Ports{},
		CIDRs:      map[policy.CIDRKey]policy.Ports{},
		Chunks:     map[policy.ChunkKey]policy.Chunk{},
		Names:      map[policy.NameKey]struct{}{},
	}
	for _, id := range []identity.ID{identity.Host, identity.RemoteNode, identity.World} {
		t.Identities[id] = policy.Entry{Class: policy.ClassNonPod}
	}
	for _, id := range []identity.ID{idA, idB, idS, idFar, idOther} {
		t.Identities[id] = policy.Entry{Class: policy.ClassID(id)}
	}
	return t
}

// lastRuleSet makes rule sets unique, as their content hashes would.
var lastRuleSet = policy.RuleSetID(1 << 40)

// ingress isolates id and lets only peers reach it.
func ingress(t *policy.Table, id identity.ID, peers ...identity.ID) *policy.Table {
	entry := t.Identities[id]
	entry.Ingress = admitting(t, peers)
	t.Identities[id] = entry
	return t
}

// egress isolates id and lets it reach only peers.
func egress(t *policy.Table, id identity.ID, peers ...identity.ID) *policy.Table {
	entry := t.Identities[id]
	entry.Egress = admitting(t, peers)
	t.Identities[id] = entry
	return t
}

func admitting(t *policy.Table, peers []identity.ID) policy.RuleSetID {
	lastRuleSet++
	for _, peer := range peers {
		key := policy.RuleKey{RuleSet: lastRuleSet, Class: t.Identities[peer].Class}
		t.Rules[key] = policy.Ports{Set: 1, Flags: policy.AllTraffic}
	}
	return lastRuleSet
}

// egressTo isolates A and lets it reach only what is no pod and has an address,
// or that address's counterpart in IPv6.
func egressTo(addr string) *policy.Table {
	t := egress(openTable(), idA)
	entry := t.Identities[idA]
	entry.EgressCIDRs = true
	t.Identities[idA] = entry
	only := netip.MustParseAddr(addr)
	for _, block := range []netip.Prefix{netip.PrefixFrom(only, 32), netip.PrefixFrom(six(only), 128)} {
		t.CIDRs[policy.CIDRKey{RuleSet: entry.Egress, Prefix: block}] = policy.Ports{Set: 1, Flags: policy.AllTraffic}
	}
	return t
}
