package datapath

import (
	"encoding/binary"
	"errors"

	"github.com/signet-cni/signet/enforce/policy"
)

// policyTables are the maps that a policy.Table fills.
type policyTables struct {
	identities *table[bpfIdentityKey, bpfSide]
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
	p.identities = newTable[bpfIdentityKey, bpfSide](objs.Identities)
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

// prepare writes the side that the next revision will use, and no program
// reads until then.
func (d *Datapath) prepare(rows *policyRows) error {
	next := (d.revision + 1) & 1
	d.settled = false
	if err := d.policy.identities.add(onSide(next, rows.identities)); err != nil {
		return err
	}
	return d.policy.identities.removeIf(func(key bpfIdentityKey) bool {
		_, ok := rows.identities[key.Identity]
		return key.Side == next && !ok
	})
}

// onSide gives the rows of identities on one side.
func onSide(side uint32, identities map[uint32]bpfSide) map[bpfIdentityKey]bpfSide {
	rows := make(map[bpfIdentityKey]bpfSide, len(identities))
	for id, row := range identities {
		rows[bpfIdentityKey{Identity: id, Side: side}] = row
	}
	return rows
}

// settle makes the side that is not in force equal to the one that is.
func (d *Datapath) settle() error {
	if d.settled {
		return nil
	}
	inForce := map[uint32]bpfSide{}
	for key, side := range d.policy.identities.known {
		if key.Side == d.revision&1 {
			inForce[key.Identity] = side
		}
	}
	if err := d.prepare(&policyRows{identities: inForce}); err != nil {
		return err
	}
	d.settled = true
	return nil
}

func (p *policyTables) differs(rows *policyRows) bool {
	identities := make(map[bpfIdentityKey]bpfSide, 2*len(rows.identities))
	for id, side := range rows.identities {
		identities[bpfIdentityKey{Identity: id, Side: 0}] = side
		identities[bpfIdentityKey{Identity: id, Side: 1}] = side
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
	if e.Audit {
		side.Flags |= uint32(bpfSideFlagsSIDE_AUDIT)
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
