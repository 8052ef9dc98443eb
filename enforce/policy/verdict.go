package policy

import (
	"net/netip"
	"slices"

	"github.com/signet-cni/signet/identity"
)

// Query is a packet that opens a flow, with both ends known.
type Query struct {
	Src, Dst         identity.ID
	SrcAddr, DstAddr netip.Addr // inner addresses; IPv4 as IPv4
	Protocol         uint8      // IANA number
	Port             uint16     // of the destination
	HasPort          bool       // Port is known: not of ICMP, say
	// DstNames are the names that the destination pod gives to this protocol
	// and port.
	DstNames []NameID
}

// Outcome is what a table says in one direction, and why.
type Outcome uint8

// The outcomes. The zero value is closed.
const (
	DeniedUnknown  Outcome = iota // an end has no entry in Identities
	DeniedByPolicy                // the subject is isolated, and no row holds
	NotSubject                    // admitted: the subject is not isolated
	AdmittedClass                 // admitted by a class row
	AdmittedBlock                 // admitted by an ipBlock row only
	AdmittedSelf                  // a pod reaches itself (Table.Outcomes)
	AdmittedHost                  // the local node reaches its pods (Table.Outcomes)
)

// Admitted reports whether the outcome admits the packet.
func (o Outcome) Admitted() bool { return o >= NotSubject }

// Verdict is the outcome in both directions: of the source's egress rules and
// of the destination's ingress rules.
type Verdict struct{ Egress, Ingress Outcome }

// Admitted reports whether both directions admit the packet.
func (v Verdict) Admitted() bool { return v.Egress.Admitted() && v.Ingress.Admitted() }

// Outcomes is Admits by Direction, with what the kernel's programs admit without
// asking the table: a pod reaches itself, and the local node its pods.
func (t *Table) Outcomes(q Query) [2]Outcome {
	v := t.Admits(q)
	return withExceptions(q, [2]Outcome{Ingress: v.Ingress, Egress: v.Egress})
}

// Admits looks a packet up as the kernel programs do.
func (t *Table) Admits(q Query) Verdict {
	src, srcKnown := t.Identities[q.Src]
	dst, dstKnown := t.Identities[q.Dst]
	if !srcKnown || !dstKnown {
		return Verdict{Egress: DeniedUnknown, Ingress: DeniedUnknown}
	}
	return Verdict{
		Egress:  t.judge(q, src.Egress, dst.Class, src.EgressCIDRs, q.DstAddr),
		Ingress: t.judge(q, dst.Ingress, src.Class, dst.IngressCIDRs, q.SrcAddr),
	}
}

func (t *Table) judge(q Query, rules RuleSetID, peer ClassID, cidrs bool, addr netip.Addr) Outcome {
	if rules == NotIsolated {
		return NotSubject
	}
	if ports, ok := t.classRow(rules, peer); ok && t.holds(ports, q) {
		return AdmittedClass
	}
	if cidrs {
		if ports, ok := t.cidrRow(rules, addr); ok && t.holds(ports, q) {
			return AdmittedBlock
		}
	}
	return DeniedByPolicy
}

func (t *Table) classRow(rules RuleSetID, class ClassID) (Ports, bool) {
	ports, ok := t.Rules[RuleKey{rules, class}]
	if !ok && class != ClassNonPod {
		ports, ok = t.Rules[RuleKey{rules, ClassAnyPod}]
	}
	return ports, ok
}

func (t *Table) cidrRow(rules RuleSetID, addr netip.Addr) (Ports, bool) {
	for bits := addr.BitLen(); bits >= 0 && addr.IsValid(); bits-- {
		prefix, err := addr.Prefix(bits)
		if err != nil {
			return Ports{}, false
		}
		if ports, ok := t.CIDRs[CIDRKey{rules, prefix}]; ok {
			return ports, true
		}
	}
	return Ports{}, false
}

func (t *Table) holds(ports Ports, q Query) bool {
	if ports.Flags&AllTraffic != 0 {
		return true
	}
	n := slices.Index(protocols[:], Protocol(q.Protocol))
	if n < 0 {
		return false
	}
	if ports.Flags&allFlags[n] != 0 {
		return true
	}
	if !q.HasPort {
		return false
	}
	chunk := t.Chunks[ChunkKey{ports.Set, protocols[n], uint8(q.Port >> 9)}]
	if ports.Flags&someFlags[n] != 0 && chunk[q.Port>>6&7]&(1<<(q.Port&63)) != 0 {
		return true
	}
	return ports.Flags&NamedPorts != 0 && slices.ContainsFunc(q.DstNames, func(name NameID) bool {
		_, ok := t.Names[NameKey{ports.Set, name, protocols[n]}]
		return ok
	})
}
