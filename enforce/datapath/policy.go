package datapath

import (
	"encoding/binary"
	"errors"
	"time"

	"github.com/signet-cni/signet/enforce/policy"
)

// inFlight bounds how long a program that started before a revision switch
// may still run; it runs in softirq context for microseconds.
const inFlight = 5 * time.Millisecond

// policyTables are the maps that a policy.Table fills.
type policyTables struct {
	identities *table[uint32, bpfIdentityPolicy]
	rules      *table[bpfRuleKey, bpfPorts]
	cidrs      *table[bpfRuleCidrKey, bpfPorts]
	chunks     *table[bpfChunkKey, bpfChunk]
	names      *table[bpfNameKey, uint8]
}

// policyRows is a policy.Table in the kernel's form.
type policyRows struct {
	identities map[uint32]bpfSide
	rules      map[bpfRuleKey]bpfPorts
	cidrs      map[bpfRuleCidrKey]bpfPorts
	chunks     map[bpfChunkKey]bpfChunk
	names      map[bpfNameKey]uint8
}

func (p *policyTables) open(objs *bpfObjects) error {
	p.identities = newTable[uint32, bpfIdentityPolicy](objs.Identities)
	p.rules = newTable[bpfRuleKey, bpfPorts](objs.Rules)
	p.cidrs = newTable[bpfRuleCidrKey, bpfPorts](objs.RuleCidrs)
	p.chunks = newTable[bpfChunkKey, bpfChunk](objs.PortChunks)
	p.names = newTable[bpfNameKey, uint8](objs.PortNames)
	return errors.Join(p.identities.read(), p.rules.read(), p.cidrs.read(),
		p.chunks.read(), p.names.read())
}

// SetPolicy puts t in force and reports whether anything changed.
//
// Rows never change their meaning, so new ones can be added while the old
// table judges. Then every identity gets its new view on the side that is not
// in force, one store switches all of them at once, and only when no program
// can still be using the old side is it overwritten and its rows removed: no
// packet ever meets a mixture of two tables. An error before the switch
// leaves the old table in force.
func (d *Datapath) SetPolicy(t *policy.Table) (changed bool, err error) {
	rows := toRows(t)
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.settle(); err != nil {
		return false, err
	}
	if d.revision != 0 && !d.policy.differs(rows) {
		return false, nil
	}
	if err := d.policy.addRows(rows); err != nil {
		return false, err
	}
	if err := d.prepare(rows); err != nil {
		return false, err
	}
	if err := d.bump(); err != nil {
		return false, err
	}
	time.Sleep(inFlight)
	if err := d.settle(); err != nil {
		return true, err
	}
	return true, d.policy.pruneRows(rows)
}

func (p *policyTables) addRows(rows *policyRows) error {
	if err := p.chunks.add(rows.chunks); err != nil {
		return err
	}
	if err := p.names.add(rows.names); err != nil {
		return err
	}
	if err := p.cidrs.add(rows.cidrs); err != nil {
		return err
	}
	return p.rules.add(rows.rules)
}

func (p *policyTables) pruneRows(rows *policyRows) error {
	return errors.Join(p.rules.prune(rows.rules), p.cidrs.prune(rows.cidrs),
		p.names.prune(rows.names), p.chunks.prune(rows.chunks))
}

// prepare writes the side that the next revision will use.
func (d *Datapath) prepare(rows *policyRows) error {
	next := (d.revision + 1) & 1
	for id, side := range rows.identities {
		entry := d.policy.identities.known[id]
		entry.Side[next] = side
		if err := d.policy.identities.set(id, entry); err != nil {
			return err
		}
	}
	for id, entry := range d.policy.identities.known {
		if _, ok := rows.identities[id]; ok {
			continue
		}
		entry.Side[next] = bpfSide{}
		if err := d.policy.identities.set(id, entry); err != nil {
			return err
		}
	}
	return nil
}

// settle makes the side that is not in force equal to the one that is, and
// removes identities that are no longer known.
func (d *Datapath) settle() error {
	current := d.revision & 1
	for id, entry := range d.policy.identities.known {
		if entry.Side[current].Class == 0 {
			if err := d.policy.identities.remove(id); err != nil {
				return err
			}
			continue
		}
		entry.Side[current^1] = entry.Side[current]
		if err := d.policy.identities.set(id, entry); err != nil {
			return err
		}
	}
	return nil
}

func (p *policyTables) differs(rows *policyRows) bool {
	identities := make(map[uint32]bpfIdentityPolicy, len(rows.identities))
	for id, side := range rows.identities {
		identities[id] = bpfIdentityPolicy{Side: [2]bpfSide{side, side}}
	}
	return p.identities.differs(identities) || p.rules.differs(rows.rules) ||
		p.cidrs.differs(rows.cidrs) || p.chunks.differs(rows.chunks) ||
		p.names.differs(rows.names)
}

func toRows(t *policy.Table) *policyRows {
	rows := &policyRows{
		identities: make(map[uint32]bpfSide, len(t.Identities)),
		rules:      make(map[bpfRuleKey]bpfPorts, len(t.Rules)),
		cidrs:      make(map[bpfRuleCidrKey]bpfPorts, len(t.CIDRs)),
		chunks:     make(map[bpfChunkKey]bpfChunk, len(t.Chunks)),
		names:      make(map[bpfNameKey]uint8, len(t.Names)),
	}
	for id, e := range t.Identities {
		rows.identities[uint32(id)] = toSide(e)
	}
	for k, v := range t.Rules {
		rows.rules[bpfRuleKey{RuleSet: uint64(k.RuleSet), Class: uint64(k.Class)}] = toPorts(v)
	}
	for k, v := range t.CIDRs {
		rows.cidrs[toCIDRKey(k)] = toPorts(v)
	}
	for k, v := range t.Chunks {
		key := bpfChunkKey{Set: uint64(k.Set), Protocol: uint8(k.Protocol), Chunk: k.Chunk}
		rows.chunks[key] = bpfChunk{Words: v}
	}
	for k := range t.Names {
		key := bpfNameKey{Set: uint64(k.Set), Name: uint64(k.Name), Protocol: uint8(k.Protocol)}
		rows.names[key] = 1
	}
	return rows
}

func toSide(e policy.Entry) bpfSide {
	side := bpfSide{Class: uint64(e.Class), Ingress: uint64(e.Ingress), Egress: uint64(e.Egress)}
	if e.IngressCIDRs {
		side.Flags |= uint32(bpfSideFlagsSIDE_INGRESS_CIDRS)
	}
	if e.EgressCIDRs {
		side.Flags |= uint32(bpfSideFlagsSIDE_EGRESS_CIDRS)
	}
	return side
}

func toPorts(p policy.Ports) bpfPorts {
	return bpfPorts{Set: uint64(p.Set), Flags: uint32(p.Flags)}
}

func toCIDRKey(k policy.CIDRKey) bpfRuleCidrKey {
	bits, family := k.Prefix.Bits(), uint8(6)
	if k.Prefix.Addr().Is4() {
		bits, family = bits+96, 4
	}
	key := bpfRuleCidrKey{
		PrefixLen: uint32(96 + bits),
		Family:    [4]uint8{family},
		Addr:      k.Prefix.Addr().As16(),
	}
	binary.NativeEndian.PutUint64(key.RuleSet[:], uint64(k.RuleSet))
	return key
}
