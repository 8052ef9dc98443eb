package policy

import (
	"net/netip"

	"github.com/signet-cni/signet/identity"
)

// Protocol is an IP protocol number (IANA). AnyProtocol stands for all.
type Protocol uint8

// The protocols that a NetworkPolicy can name.
const (
	AnyProtocol Protocol = 0
	TCP         Protocol = 6
	UDP         Protocol = 17
	SCTP        Protocol = 132
)

// ClassID numbers a set of peers that no policy tells apart.
type ClassID uint64

// Classes with a fixed number: the fallback rows of a rule set.
const (
	// ClassAnyPod's row holds for every pod whose own class has no row.
	ClassAnyPod ClassID = 1
	// ClassNonPod's row holds for hosts and the world: what a rule without
	// peers admits.
	ClassNonPod ClassID = 2
)

// RuleSetID numbers what a group of identities admits in one direction.
// NotIsolated (0) admits everything.
type RuleSetID uint64

// NotIsolated is the rule set of an identity that no policy selects.
const NotIsolated RuleSetID = 0

// PortSetID numbers a set of protocols and ports.
type PortSetID uint64

// NameID numbers a port name.
type NameID uint64

// Entry is what the kernel knows of one identity.
type Entry struct {
	Class        ClassID   // which rows of others' rule sets hold for it
	Ingress      RuleSetID // who may reach it
	Egress       RuleSetID // whom it may reach
	IngressCIDRs bool      // Ingress has rows in Table.CIDRs
	EgressCIDRs  bool      // Egress has rows in Table.CIDRs
	Audit        bool      // what the rule sets deny is admitted, and told
}

// RuleKey names one row of a rule set.
type RuleKey struct {
	RuleSet RuleSetID
	Class   ClassID
}

// CIDRKey names one ipBlock row of a rule set. IPv4 prefixes stay IPv4.
type CIDRKey struct {
	RuleSet RuleSetID
	Prefix  netip.Prefix
}

// PortFlags sum up a port set, so that most packets need no port lookup.
type PortFlags uint32

// Flags of a port set.
const (
	AllTraffic PortFlags = 1 << iota // every protocol and port, ICMP included
	AllTCP                           // every TCP port
	AllUDP                           // every UDP port
	AllSCTP                          // every SCTP port
	SomeTCP                          // Chunks hold TCP ports
	SomeUDP                          // Chunks hold UDP ports
	SomeSCTP                         // Chunks hold SCTP ports
	NamedPorts                       // Names hold port names
)

// Ports is a row's value: the set, and its summary.
type Ports struct {
	Set   PortSetID
	Flags PortFlags
}

// ChunkKey names 512 consecutive ports of a port set: Chunk is port >> 9.
type ChunkKey struct {
	Set      PortSetID
	Protocol Protocol
	Chunk    uint8
}

// Chunk is a bitmap of 512 ports; port p is bit p&63 of word (p>>6)&7.
type Chunk [8]uint64

// NameKey is a port name that a port set admits for one protocol.
type NameKey struct {
	Set      PortSetID
	Name     NameID
	Protocol Protocol
}

// Table is a whole compiled policy: what the kernel's maps shall hold.
//
// A packet is admitted in one direction if the subject's rule set is
// NotIsolated, or if the ports are in the union of
//   - the row (rule set, peer's class), or where there is none the row
//     (rule set, ClassAnyPod) for a pod and (rule set, ClassNonPod) for any
//     other peer, and
//   - the longest-prefix row of the peer's address in CIDRs.
//
// An absent row admits nothing. Class rows hold the whole union for the class
// (what ClassAnyPod and ClassNonPod admit included), CIDR rows that of every
// block which covers the prefix.
type Table struct {
	Identities map[identity.ID]Entry
	Rules      map[RuleKey]Ports
	CIDRs      map[CIDRKey]Ports
	Chunks     map[ChunkKey]Chunk
	Names      map[NameKey]struct{}
}

func newTable() Table {
	return Table{
		Identities: map[identity.ID]Entry{},
		Rules:      map[RuleKey]Ports{},
		CIDRs:      map[CIDRKey]Ports{},
		Chunks:     map[ChunkKey]Chunk{},
		Names:      map[NameKey]struct{}{},
	}
}

// Empty reports whether the table has no rows at all.
func (t *Table) Empty() bool {
	return len(t.Identities)+len(t.Rules)+len(t.CIDRs)+len(t.Chunks)+len(t.Names) == 0
}

// addPorts adds the port numbers and names of a set.
func (t *Table) addPorts(set *portSet) {
	id := PortSetID(set.number)
	for n, protocol := range protocols {
		chunks(set.of[n].ranges, func(chunk uint8, bits Chunk) {
			t.Chunks[ChunkKey{Set: id, Protocol: protocol, Chunk: chunk}] = bits
		})
		for _, name := range set.of[n].names {
			t.Names[NameKey{Set: id, Name: NameIDOf(name), Protocol: protocol}] = struct{}{}
		}
	}
}
