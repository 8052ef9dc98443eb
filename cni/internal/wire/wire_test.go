package wire_test

import (
	"bytes"
	"encoding/json"
	"net/netip"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/signet-cni/signet/cni/internal/wire"
)

var hostName = regexp.MustCompile(`^sgn[0-9a-f]{12}$`)

func FuzzKey(f *testing.F) {
	f.Add("0f3c", "eth0")
	f.Add("..", "all")
	f.Add("a\x00b", "e/t")
	f.Fuzz(func(t *testing.T, id, ifName string) {
		k := wire.Key{ContainerID: id, IfName: ifName}
		if !hostName.MatchString(k.HostIfName()) || k.HostMAC()[0]&3 != 2 || k.PodMAC()[0]&3 != 2 {
			t.Errorf("%s %s %s", k.HostIfName(), k.HostMAC(), k.PodMAC())
		}
		if k.Validate() == nil && strings.ContainsAny(id+ifName, "/\x00\n\r :;%") {
			t.Errorf("accepted %q %q", id, ifName)
		}
	})
}

// What is accepted is what these expressions say.
func FuzzValidate(f *testing.F) {
	containerID := regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,127}$`)
	ifName := regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,14}$`)
	dnsLabel := regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)
	podUID := regexp.MustCompile(`^[a-zA-Z0-9-]{0,64}$`)
	long := strings.Repeat("a", 64)
	for _, text := range []string{
		"", "a", "-a", "a-", "a-b", "A", "a.b", "a_b", ".a", "é", "a\n", "0", "eth0.1", long, long[1:], long + long, long + long + "a", long[:15], long[:16],
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if got := (wire.Key{ContainerID: text, IfName: "eth0"}).Validate() == nil; got != containerID.MatchString(text) {
			t.Errorf("container %q: %v", text, got)
		}
		if got := (wire.Key{ContainerID: "a", IfName: text}).Validate() == nil; got != ifName.MatchString(text) {
			if !slices.Contains([]string{"lo", "all", "default"}, text) {
				t.Errorf("interface %q: %v", text, got)
			}
		}
		if got := wire.ValidatePod(text, "a", "") == nil; got != dnsLabel.MatchString(text) {
			t.Errorf("namespace %q: %v", text, got)
		}
		if got := wire.ValidatePod("a", "a", text) == nil; got != podUID.MatchString(text) {
			t.Errorf("uid %q: %v", text, got)
		}
	})
}

func TestKeysDiffer(t *testing.T) {
	seen := map[string]bool{}
	for _, k := range []wire.Key{{ContainerID: "a", IfName: "eth0"}, {ContainerID: "a", IfName: "eth1"}, {ContainerID: "aeth", IfName: "0"}} {
		for _, s := range []string{k.HostIfName(), k.HostMAC().String(), k.PodMAC().String()} {
			if seen[s] {
				t.Errorf("%s comes twice", s)
			}
			seen[s] = true
		}
	}
}

// What is decoded encodes to something that decodes to the same.
func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"version":2,"addresses":[{"addr":"198.18.1.2","gateway":"169.254.7.1","nodeAddr":"192.0.2.1"}],"mtu":1400}`))
	f.Add([]byte(`{"version":2,"addresses":[{"addr":"fe80::1%eth0"}]} `))
	f.Add([]byte(`null`))
	f.Fuzz(func(t *testing.T, data []byte) {
		first, err := wire.Decode[wire.Lease](bytes.NewReader(data))
		if err != nil {
			return
		}
		encoded, err := json.Marshal(first)
		if err != nil {
			t.Fatal(err)
		}
		second, err := wire.Decode[wire.Lease](bytes.NewReader(encoded))
		if err != nil || !reflect.DeepEqual(first, second) {
			t.Errorf("%+v became %+v, %v", first, second, err)
		}
	})
}

// A lease has an IPv4 address, and perhaps one of IPv6 behind it.
func TestLease(t *testing.T) {
	address := func(addr, gateway, node string) wire.Address {
		return wire.Address{
			Addr: netip.MustParseAddr(addr), Gateway: netip.MustParseAddr(gateway), NodeAddr: netip.MustParseAddr(node),
		}
	}
	v4, v6 := address("198.18.1.2", "169.254.7.1", "192.0.2.1"), address("fd00::10", "fe80::1", "2001:db8::1")
	mixed := address("fd00::10", "169.254.7.1", "2001:db8::1")
	for _, c := range []struct {
		name  string
		lease wire.Lease
		good  bool
	}{
		{"IPv4", wire.Lease{Addresses: []wire.Address{v4}, MTU: 1400}, true},
		{"both", wire.Lease{Addresses: []wire.Address{v4, v6}, MTU: 1400}, true},
		{"none", wire.Lease{MTU: 1400}, false},
		{"IPv6 only", wire.Lease{Addresses: []wire.Address{v6}, MTU: 1400}, false},
		{"the other order", wire.Lease{Addresses: []wire.Address{v6, v4}, MTU: 1400}, false},
		{"IPv4 twice", wire.Lease{Addresses: []wire.Address{v4, v4}, MTU: 1400}, false},
		{"three", wire.Lease{Addresses: []wire.Address{v4, v6, v6}, MTU: 1400}, false},
		{"mixed families", wire.Lease{Addresses: []wire.Address{v4, mixed}, MTU: 1400}, false},
		{"no MTU", wire.Lease{Addresses: []wire.Address{v4}}, false},
	} {
		if err := c.lease.Validate(); (err == nil) != c.good {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}
