package policy

import (
	"cmp"
	"encoding/binary"
	"slices"
)

// protocols that a port set tells apart, in the order of portSet.of.
var protocols = [...]Protocol{TCP, UDP, SCTP}

var (
	allFlags  = [...]PortFlags{AllTCP, AllUDP, AllSCTP}
	someFlags = [...]PortFlags{SomeTCP, SomeUDP, SomeSCTP}
)

// portRange is inclusive at both ends.
type portRange struct{ first, last uint16 }

// protocolPorts are the ports of one protocol. With all set the rest is empty.
type protocolPorts struct {
	all    bool
	ranges []portRange // sorted, neither overlapping nor adjacent
	names  []string    // sorted, unique
}

// portSet is a set of traffic in its one normal form: equal sets have equal
// keys. It is immutable and compared by pointer (see portPool).
type portSet struct {
	everything bool // all protocols; of is empty then
	of         [len(protocols)]protocolPorts
	key        string
	content    // of key
	flags      PortFlags
	uses       int  // rows that refer to it
	listed     bool // its ports are in the table
	noted      bool // among change.ports
}

// row is the value of a row that refers to the set.
func (s *portSet) row() Ports { return Ports{Set: PortSetID(s.number), Flags: s.flags} }

func (s *portSet) empty() bool { return s.flags == 0 }

// sum gives the flags of a set in normal form.
func (s *portSet) sum() PortFlags {
	if s.everything {
		return AllTraffic
	}
	var flags PortFlags
	for n, ports := range s.of {
		if ports.all {
			flags |= allFlags[n]
		}
		if len(ports.ranges) > 0 {
			flags |= someFlags[n]
		}
		if len(ports.names) > 0 {
			flags |= NamedPorts
		}
	}
	return flags
}

// normalise brings the set into its normal form and computes flags and key.
func (s *portSet) normalise() {
	if s.everything {
		s.of = [len(protocols)]protocolPorts{}
	}
	for n := range s.of {
		ports := &s.of[n]
		ports.ranges = mergeRanges(ports.ranges)
		ports.all = ports.all || slices.ContainsFunc(ports.ranges, coversAll)
		if ports.all {
			*ports = protocolPorts{all: true}
		}
		slices.Sort(ports.names)
		ports.names = slices.Compact(ports.names)
	}
	s.flags, s.key = s.sum(), s.encode()
}

// coversAll counts 1 to 65535 as all ports: no packet is meant for port 0.
func coversAll(r portRange) bool { return r.first <= 1 && r.last == 65535 }

// encode gives the byte string that stands for a set in normal form.
func (s *portSet) encode() string {
	if s.everything {
		return "everything"
	}
	var out []byte
	for n, ports := range s.of {
		out = append(out, byte(protocols[n]))
		if ports.all {
			out = append(out, '*')
		}
		out = binary.BigEndian.AppendUint32(out, uint32(len(ports.ranges)))
		for _, r := range ports.ranges {
			out = binary.BigEndian.AppendUint16(out, r.first)
			out = binary.BigEndian.AppendUint16(out, r.last)
		}
		out = binary.BigEndian.AppendUint32(out, uint32(len(ports.names)))
		for _, name := range ports.names {
			out = binary.BigEndian.AppendUint32(out, uint32(len(name)))
			out = append(out, name...)
		}
	}
	return string(out)
}

// mergeRanges sorts ranges and joins those that overlap or touch, in a copy.
func mergeRanges(ranges []portRange) []portRange {
	ranges = slices.Clone(ranges)
	slices.SortFunc(ranges, func(a, b portRange) int { return cmp.Compare(a.first, b.first) })
	merged := ranges[:0]
	for _, r := range ranges {
		last := len(merged) - 1
		if last >= 0 && int(r.first) <= int(merged[last].last)+1 {
			merged[last].last = max(merged[last].last, r.last)
			continue
		}
		merged = append(merged, r)
	}
	return merged
}

// chunks calls add for every chunk of 512 ports that holds one of ranges.
func chunks(ranges []portRange, add func(chunk uint8, bits Chunk)) {
	var bits Chunk
	current := -1
	flush := func() {
		if current >= 0 {
			add(uint8(current), bits)
		}
	}
	for _, r := range ranges {
		for port := int(r.first); port <= int(r.last); port++ {
			if chunk := port >> 9; chunk != current {
				flush()
				current, bits = chunk, Chunk{}
			}
			bits[port>>6&7] |= 1 << (port & 63)
		}
	}
	flush()
}

// portPool interns port sets, so that equal ones are one pointer, and remembers
// unions.
type portPool struct {
	byKey  map[string]*portSet
	unions map[[2]*portSet]*portSet
	empty  *portSet
}

func newPortPool() *portPool {
	p := &portPool{byKey: map[string]*portSet{}, unions: map[[2]*portSet]*portSet{}}
	p.empty = p.intern(&portSet{})
	return p
}

func (p *portPool) intern(s *portSet) *portSet {
	s.normalise()
	if known, ok := p.byKey[s.key]; ok {
		return known
	}
	s.digest = digestOf("ports", s.key)
	p.byKey[s.key] = s
	return s
}

func (p *portPool) union(a, b *portSet) *portSet {
	if a == b {
		return a
	}
	pair := [2]*portSet{a, b}
	if known, ok := p.unions[pair]; ok {
		return known
	}
	sum := &portSet{everything: a.everything || b.everything}
	for n := range sum.of {
		sum.of[n] = protocolPorts{
			all:    a.of[n].all || b.of[n].all,
			ranges: slices.Concat(a.of[n].ranges, b.of[n].ranges),
			names:  slices.Concat(a.of[n].names, b.of[n].names),
		}
	}
	p.unions[pair] = p.intern(sum)
	return p.unions[pair]
}
