package cli

import (
	"net/netip"
	"testing"
)

// A pod that is asked for by name speaks the family of the other end.
func TestInOneFamily(t *testing.T) {
	v4, v6 := netip.MustParseAddr("10.244.1.2"), netip.MustParseAddr("fd10:244:0:1::10")
	both, only4 := party{addr: v4, other: v6}, party{addr: v4}
	world4, world6 := party{addr: netip.MustParseAddr("192.0.2.1")}, party{addr: netip.MustParseAddr("2001:db8::1")}
	for _, c := range []struct {
		a, b   party
		fa, fb netip.Addr
	}{
		{both, both, v4, v4},
		{both, world4, v4, world4.addr},
		{both, world6, v6, world6.addr},
		{world6, both, world6.addr, v6},
		{only4, world6, v4, world6.addr}, // no way: checkNodes says so
	} {
		if a, b := inOneFamily(c.a, c.b); a.addr != c.fa || b.addr != c.fb {
			t.Errorf("%v and %v: got %s and %s", c.a, c.b, a.addr, b.addr)
		}
	}
}

func TestNoFamilyInCommon(t *testing.T) {
	q := question{
		from: party{addr: netip.MustParseAddr("10.244.1.2"), name: "concert/vip"}, nodes: []string{"n"},
		to: party{addr: netip.MustParseAddr("2001:db8::1"), name: "2001:db8::1"},
	}
	const want = "concert/vip and 2001:db8::1 have no addresses of one family"
	if err := checkNodes([]question{q}); err == nil || err.Error() != want {
		t.Errorf("got %v", err)
	}
}
