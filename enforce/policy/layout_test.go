package policy

import (
	"math/rand/v2"
	"net/netip"
	"testing"
)

func TestPortSetNormalForm(t *testing.T) {
	tcp := func(first, last uint16) Port { return Port{Protocol: TCP, First: first, Last: last} }
	for _, c := range []struct {
		name  string
		a, b  []Port
		flags PortFlags
	}{
		{"touching", []Port{tcp(1, 5), tcp(6, 9)}, []Port{tcp(1, 9)}, SomeTCP},
		{"overlapping", []Port{tcp(4, 9), tcp(1, 5), tcp(5, 5)}, []Port{tcp(1, 9)}, SomeTCP},
		{"all and some", []Port{{Protocol: TCP}, tcp(5, 5), {Protocol: TCP, Name: "x"}}, []Port{tcp(1, 65535)}, AllTCP},
		{"from 0", []Port{tcp(0, 65535)}, []Port{{Protocol: TCP}}, AllTCP},
		{"everything and more", []Port{{}, tcp(5, 5)}, []Port{{}}, AllTraffic},
		{"names", []Port{{Protocol: UDP, Name: "b"}, {Protocol: UDP, Name: "a"}, {Protocol: UDP, Name: "b"}}, []Port{{Protocol: UDP, Name: "a"}, {Protocol: UDP, Name: "b"}}, NamedPorts},
		{
			"mixed",
			[]Port{{Protocol: UDP}, tcp(2, 2), {Protocol: SCTP, First: 1, Last: 2}, {Protocol: SCTP, Name: "x"}},
			[]Port{{Protocol: SCTP, Name: "x"}, {Protocol: SCTP, First: 1, Last: 2}, tcp(2, 2), {Protocol: UDP}},
			AllUDP | SomeTCP | SomeSCTP | NamedPorts,
		},
		{"none", nil, []Port{{Protocol: 47}}, 0},
	} {
		pool := newPortPool()
		a, b := internPorts(pool, c.a), internPorts(pool, c.b)
		if a != b || a.flags != c.flags {
			t.Errorf("%s: flags %b and %b, want %b", c.name, a.flags, b.flags, c.flags)
		}
		if pool.union(a, b) != a || pool.union(a, pool.empty) != a || pool.union(pool.empty, a) != a {
			t.Errorf("%s: union with itself or nothing", c.name)
		}
	}
}

// internPorts ignores ports that cannot match.
func internPorts(pool *portPool, ports []Port) *portSet {
	set := &portSet{}
	for _, p := range ports {
		_ = set.addPort(p)
	}
	return pool.intern(set)
}

// Chunks hold exactly the ports of the ranges, and no chunk is empty.
func TestChunks(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 0))
	for range 200 {
		var ranges []portRange
		want := map[uint16]bool{}
		for range r.IntN(6) {
			first := uint16(r.IntN(65536))
			last := uint16(min(65535, int(first)+r.IntN(1500)))
			ranges = append(ranges, portRange{first, last})
			for port := int(first); port <= int(last); port++ {
				want[uint16(port)] = true
			}
		}
		got := 0
		chunks(mergeRanges(ranges), func(chunk uint8, bits Chunk) {
			before := got
			for n := range 512 {
				if bits[n>>6]&(1<<(n&63)) != 0 {
					got++
					if port := uint16(chunk)<<9 | uint16(n); !want[port] {
						t.Fatalf("port %d is in no range of %v", port, ranges)
					}
				}
			}
			if got == before {
				t.Fatalf("chunk %d of %v is empty", chunk, ranges)
			}
		})
		if got != len(want) {
			t.Fatalf("%d ports of %v, want %d", got, ranges, len(want))
		}
	}
}

// The rows give every address the union of the blocks around it, and each of
// them is needed.
func TestBlockRows(t *testing.T) {
	r := rand.New(rand.NewPCG(2, 0))
	for range 300 {
		pool := newPortPool()
		terms := randomBlocks(r, pool)
		rows := map[netip.Prefix]*portSet{}
		for _, row := range blockRows(pool, terms) {
			rows[row.prefix] = row.ports
		}
		for n := range 256 {
			addr := netip.AddrFrom4([4]byte{10, 0, 0, byte(n)})
			want := pool.empty
			for _, term := range terms {
				if term.peer.covers(addr) {
					want = pool.union(want, term.ports)
				}
			}
			if got, _ := longest(pool, rows, addr, 33); got != want {
				t.Fatalf("%s: %q, want %q, rows %v", addr, got.key, want.key, rows)
			}
		}
		for prefix, ports := range rows {
			if around, _ := longest(pool, rows, prefix.Addr(), prefix.Bits()); around == ports {
				t.Fatalf("row %s repeats what is around it", prefix)
			}
		}
	}
}

// longest looks addr up among prefixes shorter than limit.
func longest(pool *portPool, rows map[netip.Prefix]*portSet, addr netip.Addr, limit int) (*portSet, bool) {
	for bits := limit - 1; bits >= 0; bits-- {
		if ports, ok := rows[netip.PrefixFrom(addr, bits).Masked()]; ok {
			return ports, true
		}
	}
	return pool.empty, false
}

func randomBlocks(r *rand.Rand, pool *portPool) []*term {
	prefix := func(least int) netip.Prefix {
		bits := least + r.IntN(33-least)
		return netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(r.IntN(256))}), bits).Masked()
	}
	var terms []*term
	for range r.IntN(7) {
		block := IPBlock{CIDR: prefix(20)}
		for range r.IntN(4) {
			block.Except = append(block.Except, prefix(24))
		}
		p, err := normaliseBlock(block)
		if err != nil {
			continue
		}
		port := uint16(1 + r.IntN(4))
		terms = append(terms, &term{peer: p, ports: internPorts(pool, []Port{{Protocol: TCP, First: port, Last: port}})})
	}
	return terms
}

func TestNameIDOf(t *testing.T) {
	if NameIDOf("http") == NameIDOf("https") || NameIDOf("") == 0 {
		t.Error("names share a number, or one has none")
	}
}
