package policy

import (
	"net/netip"
	"slices"
)

// blockRow is what a rule set admits the addresses of a prefix that no longer
// prefix among the rows contains.
type blockRow struct {
	prefix netip.Prefix
	ports  *portSet
}

// edge is a prefix at which the blocks that cover an address change.
type edge struct {
	prefix netip.Prefix
	begins []*term // blocks with this CIDR
	ends   []*term // blocks with this exception
}

// level is an edge that contains the current one.
type level struct {
	prefix netip.Prefix
	active []*term  // blocks that cover its addresses
	row    *portSet // what the closest row that contains it admits
}

// blockRows lays the ipBlock terms out as rows for longest-prefix matching. An
// address finds the union of all blocks that cover it: every edge that contains
// the address contains, or is, the longest one that does. A row that repeats
// the closest row around it is left out.
func blockRows(pool *portPool, terms []*term) []blockRow {
	var rows []blockRow
	var stack []level
	for _, e := range edges(terms) {
		for len(stack) > 0 && !contains(stack[len(stack)-1].prefix, e.prefix) {
			stack = stack[:len(stack)-1]
		}
		around := level{row: pool.empty}
		if len(stack) > 0 {
			around = stack[len(stack)-1]
		}
		active := slices.Concat(around.active, e.begins)
		active = slices.DeleteFunc(active, func(t *term) bool { return slices.Contains(e.ends, t) })
		row := pool.empty
		for _, t := range active {
			row = pool.union(row, t.ports)
		}
		if row != around.row {
			rows = append(rows, blockRow{e.prefix, row})
		}
		stack = append(stack, level{e.prefix, active, row})
	}
	return rows
}

// edges gives all CIDRs and exceptions, each after those that contain it.
func edges(terms []*term) []*edge {
	at := map[netip.Prefix]*edge{}
	get := func(prefix netip.Prefix) *edge {
		if at[prefix] == nil {
			at[prefix] = &edge{prefix: prefix}
		}
		return at[prefix]
	}
	for _, t := range terms {
		if t.peer.scope != scopeBlock {
			continue
		}
		begin := get(t.peer.cidr)
		begin.begins = append(begin.begins, t)
		for _, except := range t.peer.except {
			end := get(except)
			end.ends = append(end.ends, t)
		}
	}
	sorted := make([]*edge, 0, len(at))
	for _, e := range at {
		sorted = append(sorted, e)
	}
	slices.SortFunc(sorted, func(a, b *edge) int { return a.prefix.Compare(b.prefix) })
	return sorted
}

func contains(outer, inner netip.Prefix) bool {
	return outer.Bits() <= inner.Bits() && outer.Contains(inner.Addr())
}
