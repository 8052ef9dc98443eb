package datapath

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/cilium/ebpf"

	"github.com/signet-cni/signet/enforce/policy"
	"github.com/signet-cni/signet/identity"
)

// KernelTable reads from the kernel's maps, not from the agent's memory, the
// rows that the programs would look up for a packet that opens a flow, and
// gives them as a table that admits what the programs would. DstNames of the
// query are read from there too.
func (d *Datapath) KernelTable(q *policy.Query) (*policy.Table, error) {
	var state bpfState
	if err := d.objs.PolicyState.Lookup(uint32(0), &state); err != nil {
		return nil, fmt.Errorf("read policy_state: %w", err)
	}
	t := &policy.Table{
		Identities: map[identity.ID]policy.Entry{}, Rules: map[policy.RuleKey]policy.Ports{},
		CIDRs: map[policy.CIDRKey]policy.Ports{}, Chunks: map[policy.ChunkKey]policy.Chunk{}, Names: map[policy.NameKey]struct{}{},
	}
	if state.Revision == 0 {
		return t, nil // nothing is admitted
	}
	q.DstNames = d.PortNames(netip.AddrPortFrom(q.DstAddr, q.Port), policy.Protocol(q.Protocol))
	for _, id := range []identity.ID{q.Src, q.Dst} {
		if err := d.readIdentity(t, id, state.Revision&1); err != nil {
			return nil, err
		}
	}
	src, dst := t.Identities[q.Src], t.Identities[q.Dst]
	return t, errors.Join(
		d.readRuleSet(t, *q, src.Egress, dst.Class, q.DstAddr), d.readRuleSet(t, *q, dst.Ingress, src.Class, q.SrcAddr))
}

func (d *Datapath) readIdentity(t *policy.Table, id identity.ID, side uint32) error {
	var value bpfSide
	found, err := lookup(d.objs.Identities, bpfIdentityKey{Identity: uint32(id), Side: side}, &value)
	if found {
		t.Identities[id] = policy.Entry{
			Class: policy.ClassID(value.Class), Ingress: policy.RuleSetID(value.Ingress), Egress: policy.RuleSetID(value.Egress),
			IngressCIDRs: value.Flags&uint32(bpfSideFlagsSIDE_INGRESS_CIDRS) != 0,
			EgressCIDRs:  value.Flags&uint32(bpfSideFlagsSIDE_EGRESS_CIDRS) != 0,
			Audit:        value.Flags&uint32(bpfSideFlagsSIDE_AUDIT) != 0,
		}
	}
	return err
}

// readRuleSet reads the rows of a rule set that can hold for a peer.
func (d *Datapath) readRuleSet(t *policy.Table, q policy.Query, rules policy.RuleSetID, class policy.ClassID, addr netip.Addr) error {
	for _, c := range []policy.ClassID{class, policy.ClassAnyPod} {
		var value bpfPorts
		found, err := lookup(d.objs.Rules, bpfRuleKey{RuleSet: uint64(rules), Class: uint64(c)}, &value)
		if err != nil {
			return err
		}
		if found {
			t.Rules[policy.RuleKey{RuleSet: rules, Class: c}] = fromPorts(value)
			if err := d.readPorts(t, q, value.Set); err != nil {
				return err
			}
		}
	}
	if !addr.IsValid() {
		return nil
	}
	host := netip.PrefixFrom(addr, addr.BitLen())
	var value bpfPorts
	found, err := lookup(d.objs.RuleCidrs, toCIDRKey(policy.CIDRKey{RuleSet: rules, Prefix: host}), &value)
	if err != nil || !found {
		return err
	}
	t.CIDRs[policy.CIDRKey{RuleSet: rules, Prefix: host}] = fromPorts(value)
	return d.readPorts(t, q, value.Set)
}

// readPorts reads of a port set what concerns the packet's port.
func (d *Datapath) readPorts(t *policy.Table, q policy.Query, set uint64) error {
	protocol := policy.Protocol(q.Protocol)
	key := policy.ChunkKey{Set: policy.PortSetID(set), Protocol: protocol, Chunk: uint8(q.Port >> 9)}
	var chunk bpfChunk
	found, err := lookup(d.objs.PortChunks, bpfChunkKey{Set: set, Protocol: q.Protocol, Chunk: key.Chunk}, &chunk)
	if found {
		t.Chunks[key] = policy.Chunk(chunk.Words)
	}
	for _, name := range q.DstNames {
		var one uint8
		named, nameErr := lookup(d.objs.PortNames, bpfNameKey{Set: set, Name: uint64(name), Protocol: q.Protocol}, &one)
		if named {
			t.Names[policy.NameKey{Set: policy.PortSetID(set), Name: name, Protocol: protocol}] = struct{}{}
		}
		err = errors.Join(err, nameErr)
	}
	return err
}

func fromPorts(p bpfPorts) policy.Ports {
	return policy.Ports{Set: policy.PortSetID(p.Set), Flags: policy.PortFlags(p.Flags)}
}

// lookup reads an entry that may not be there.
func lookup(m *ebpf.Map, key, value any) (found bool, err error) {
	err = m.Lookup(key, value)
	if errors.Is(err, ebpf.ErrKeyNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("read map %s: %w", m, err)
	}
	return true, nil
}

// KernelIdentity gives the identity that the programs know for a pod's address
// on this node, or 0.
func (d *Datapath) KernelIdentity(addr netip.Addr) (identity.ID, error) {
	var value bpfEndpoint
	if _, err := lookup(d.objs.Endpoints, toAddr(addr), &value); err != nil {
		return identity.Unknown, err
	}
	return identity.ID(value.Identity), nil
}

// Place says whose address it is, as the programs look it up; LocationKind 0
// is the world.
func (d *Datapath) Place(addr netip.Addr) (LocationKind, error) {
	var value bpfLocation
	key := bpfPrefixKey{PrefixLen: 128, Addr: addr.As16()}
	if _, err := lookup(d.objs.Locations, key, &value); err != nil {
		return 0, err
	}
	return LocationKind(value.Kind), nil
}
