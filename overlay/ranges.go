package overlay

import (
	"fmt"
	"net/netip"
)

// Ranges holds at most one address range of each family; an invalid Prefix
// means that there is none.
type Ranges struct {
	V4, V6 netip.Prefix
}

// RangesOf sorts a list by family. It fails unless there is one IPv4 range and
// at most one IPv6 range, all without bits set behind their length.
func RangesOf(list []netip.Prefix) (Ranges, error) {
	var r Ranges
	for _, p := range list {
		if !p.IsValid() || p != p.Masked() || p.Addr().Is4In6() {
			return Ranges{}, fmt.Errorf("range %s is malformed", p)
		}
		of := &r.V6
		if p.Addr().Is4() {
			of = &r.V4
		}
		if of.IsValid() {
			return Ranges{}, fmt.Errorf("%v: two ranges of one family", list)
		}
		*of = p
	}
	if !r.V4.IsValid() {
		return Ranges{}, fmt.Errorf("%v: no IPv4 range", list)
	}
	return r, nil
}

// List gives the ranges that there are, IPv4 first.
func (r Ranges) List() []netip.Prefix {
	var list []netip.Prefix
	for _, p := range []netip.Prefix{r.V4, r.V6} {
		if p.IsValid() {
			list = append(list, p)
		}
	}
	return list
}

// Contains says whether one of the ranges holds a.
func (r Ranges) Contains(a netip.Addr) bool { return r.V4.Contains(a) || r.V6.Contains(a) }

// Overlaps says whether an address lies in a range of both.
func (r Ranges) Overlaps(o Ranges) bool { return r.V4.Overlaps(o.V4) || r.V6.Overlaps(o.V6) }
