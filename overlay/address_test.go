package overlay

import (
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"net/netip"
	"testing"
)

func mustPrefix(t testing.TB, cluster, podCIDR string) netip.Prefix {
	t.Helper()
	id, err := ParseClusterID(cluster)
	if err != nil {
		t.Fatal(err)
	}
	p, err := Prefix(id, netip.MustParsePrefix(podCIDR))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestPrefix(t *testing.T) {
	for _, c := range []struct{ cluster, podCIDR, want string }{
		{"51a2b3", "10.244.1.0/24", "fd51:a2b3:af4:100::/64"},
		{"000000", "10.0.0.0/8", "fd00:0:a00::/64"},
		{"ffffff", "255.255.255.255/32", "fdff:ffff:ffff:ffff::/64"},
		{"000001", "0.0.0.0/0", "fd00:1::/64"},
	} {
		if got := mustPrefix(t, c.cluster, c.podCIDR); got.String() != c.want {
			t.Errorf("Prefix(%s, %s) = %s, want %s", c.cluster, c.podCIDR, got, c.want)
		}
	}
	for _, p := range []netip.Prefix{
		{},
		netip.MustParsePrefix("10.244.1.1/24"), netip.MustParsePrefix("fd00::/64"),
		netip.MustParsePrefix("::ffff:10.244.1.0/120"),
	} {
		if got, err := Prefix(ClusterID{}, p); err == nil {
			t.Errorf("Prefix(%s) = %s, want an error", p, got)
		}
	}
}

func TestParseClusterID(t *testing.T) {
	for _, s := range []string{"", "51a2b", "51a2b3c", "51a2b3c4", "0x51a2", "51a2bg", " 51a2b"} {
		if id, err := ParseClusterID(s); err == nil {
			t.Errorf("ParseClusterID(%q) = %s, want an error", s, id)
		}
	}
	id, err := ParseClusterID("51A2b3")
	if err != nil || id.String() != "51a2b3" {
		t.Errorf("got %s, %v", id, err)
	}
}

// TestAddressesGolden fixes the format bit by bit.
func TestAddressesGolden(t *testing.T) {
	from, to := mustPrefix(t, "51a2b3", "10.244.1.0/24"), mustPrefix(t, "51a2b3", "10.244.2.0/24")
	src, dst := netip.MustParseAddr("10.244.1.7"), netip.MustParseAddr("10.244.2.9")
	for _, c := range []struct {
		identity uint32
		flags    Flags
		srcWant  string
		dstWant  string
		adjust   uint16
	}{
		{0xc0ffee01, 0, "fd51:a2b3:af4:100:c0ff:ee01:af4:107", "fd51:a2b3:af4:200:f80a:0:af4:209", 0xf80a},
		{0xc0ffee01, DF, "fd51:a2b3:af4:100:c0ff:ee01:af4:107", "fd51:a2b3:af4:200:f809:1:af4:209", 0xf809},
		{0xc0ffee01, DF | Reply, "fd51:a2b3:af4:100:c0ff:ee01:af4:107", "fd51:a2b3:af4:200:f807:3:af4:209", 0xf807},
		{1, Reply, "fd51:a2b3:af4:100:0:1:af4:107", "fd51:a2b3:af4:200:a709:2:af4:209", 0xa709},
	} {
		tag := Tag{From: from, To: to, Identity: c.identity, Flags: c.flags, Src: src, Dst: dst}
		s, d, err := tag.Addresses()
		if err != nil {
			t.Fatal(err)
		}
		if s.String() != c.srcWant || d.String() != c.dstWant {
			t.Errorf("%x %x: got %s %s, want %s %s", c.identity, c.flags, s, d, c.srcWant, c.dstWant)
		}
		if a := Adjust(from, to, c.identity, uint16(c.flags)); a != c.adjust {
			t.Errorf("%x %x: adjust %04x, want %04x", c.identity, c.flags, a, c.adjust)
		}
	}
}

// TestAdjustZero meets the one case in which both zeros would do.
func TestAdjustZero(t *testing.T) {
	from, to := mustPrefix(t, "51a2b3", "10.244.1.0/24"), mustPrefix(t, "51a2b3", "10.244.2.0/24")
	identity := uint32(Adjust(from, to, 0, 0))
	if a := Adjust(from, to, identity, 0); a != 0 {
		t.Errorf("adjust %04x, want 0", a)
	}
}

// TestNeutral compares the sums over random addresses with a plain
// implementation of the definition.
func TestNeutral(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	random4 := func() netip.Addr {
		var b [4]byte
		binary.BigEndian.PutUint32(b[:], r.Uint32())
		return netip.AddrFrom4(b)
	}
	sum := func(addrs ...netip.Addr) uint32 {
		var n uint32
		for _, a := range addrs {
			b := a.AsSlice()
			for i := 0; i < len(b); i += 2 {
				n += uint32(b[i])<<8 | uint32(b[i+1])
			}
		}
		return n % 0xffff
	}
	for range 20000 {
		cluster := ClusterID{byte(r.Uint32()), byte(r.Uint32()), byte(r.Uint32())}
		from, _ := Prefix(cluster, netip.PrefixFrom(random4(), 32))
		to, _ := Prefix(cluster, netip.PrefixFrom(random4(), 32))
		tag := Tag{From: from, To: to, Identity: r.Uint32(), Flags: Flags(r.UintN(4)), Src: random4(), Dst: random4()}
		s, d, err := tag.Addresses()
		if err != nil {
			t.Fatal(err)
		}
		if sum(s, d) != sum(tag.Src, tag.Dst) {
			t.Fatalf("%+v: sums differ", tag)
		}
		if got, err := ParseTag(s, d); err != nil || got != tag {
			t.Fatalf("ParseTag gives %+v, %v, want %+v", got, err, tag)
		}
	}
}

func TestAddressesRefuse(t *testing.T) {
	good := Tag{
		From: mustPrefix(t, "51a2b3", "10.244.1.0/24"), To: mustPrefix(t, "51a2b3", "10.244.2.0/24"),
		Src: netip.MustParseAddr("10.244.1.7"), Dst: netip.MustParseAddr("10.244.2.9"),
	}
	for name, change := range map[string]func(*Tag){
		"no source prefix":   func(g *Tag) { g.From = netip.Prefix{} },
		"long prefix":        func(g *Tag) { g.To = netip.PrefixFrom(g.To.Addr(), 65) },
		"foreign prefix":     func(g *Tag) { g.To = netip.MustParsePrefix("2001:db8::/64") },
		"undefined flag":     func(g *Tag) { g.Flags = 4 },
		"IPv6 inside":        func(g *Tag) { g.Src = netip.MustParseAddr("::1") },
		"mapped IPv4 inside": func(g *Tag) { g.Dst = netip.MustParseAddr("::ffff:10.0.0.1") },
		"no address":         func(g *Tag) { g.Src = netip.Addr{} },
	} {
		tag := good
		change(&tag)
		if _, _, err := tag.Addresses(); !errors.Is(err, ErrBadTag) {
			t.Errorf("%s: got %v, want %v", name, err, ErrBadTag)
		}
	}
	other := good
	other.To = mustPrefix(t, "51a2b4", "10.244.2.0/24")
	if _, _, err := other.Addresses(); !errors.Is(err, ErrOtherCluster) {
		t.Errorf("other cluster: got %v", err)
	}
}

func TestParseTagRefuses(t *testing.T) {
	const src, dst = "fd51:a2b3:af4:100:c0ff:ee01:af4:107", "fd51:a2b3:af4:200:f809:1:af4:209"
	for _, c := range []struct {
		name, src, dst string
		want           error
	}{
		{"IPv4 source", "10.244.1.7", dst, ErrNotTunnel},
		{"mapped source", "::ffff:10.244.1.7", dst, ErrNotTunnel},
		{"zone", src + "%eth0", dst, ErrNotTunnel},
		{"fc00::/8 source", "fc" + src[2:], dst, ErrNotTunnel},
		{"link-local destination", src, "fe80::1", ErrNotTunnel},
		{"other cluster", src, "fd51:a2b4:af4:200:f809:1:af4:209", ErrOtherCluster},
		{"aux bit 2", src, "fd51:a2b3:af4:200:f809:5:af4:209", ErrUndefinedAux},
		{"adjust off by one", src, "fd51:a2b3:af4:200:f80b:1:af4:209", ErrChecksumDrift},
		{"identity changed", "fd51:a2b3:af4:100:c0ff:ee02:af4:107", dst, ErrChecksumDrift},
		{"flag changed", src, "fd51:a2b3:af4:200:f809:0:af4:209", ErrChecksumDrift},
	} {
		if tag, err := ParseTag(netip.MustParseAddr(c.src), netip.MustParseAddr(c.dst)); !errors.Is(err, c.want) {
			t.Errorf("%s: got %+v, %v, want %v", c.name, tag, err, c.want)
		}
	}
	if _, err := ParseTag(netip.Addr{}, netip.Addr{}); !errors.Is(err, ErrNotTunnel) {
		t.Errorf("zero addresses: got %v", err)
	}
}

// FuzzParseTag checks that whatever is accepted composes to the same bytes.
func FuzzParseTag(f *testing.F) {
	s := netip.MustParseAddr("fd51:a2b3:af4:100:c0ff:ee01:af4:107").As16()
	d := netip.MustParseAddr("fd51:a2b3:af4:200:f809:1:af4:209").As16()
	f.Add(s[:], d[:])
	f.Fuzz(func(t *testing.T, a, b []byte) {
		src, _ := netip.AddrFromSlice(a)
		dst, _ := netip.AddrFromSlice(b)
		tag, err := ParseTag(src, dst)
		if err != nil {
			return
		}
		if s, d, err := tag.Addresses(); err != nil || s != src || d != dst {
			t.Fatalf("%s %s gives %+v, which composes to %s %s, %v", src, dst, tag, s, d, err)
		}
	})
}

func TestCheckDeviceName(t *testing.T) {
	for _, name := range []string{"signet0", "a", "wg-0.1_x", "fifteen-bytes-x"} {
		if err := CheckDeviceName(name); err != nil {
			t.Error(err)
		}
	}
	for _, name := range []string{"", ".", "..", "../x", "a/b", "sixteen-bytes-xx", "a b", "-a", "é"} {
		if CheckDeviceName(name) == nil {
			t.Errorf("%q is accepted", name)
		}
	}
}
