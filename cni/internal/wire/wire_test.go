package wire_test

import (
	"bytes"
	"encoding/json"
	"regexp"
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
	f.Add([]byte(`{"version":1,"addr":"198.18.1.2","gateway":"169.254.7.1","nodeAddr":"192.0.2.1","mtu":1400}`))
	f.Add([]byte(`{"version":1,"addr":"fe80::1%eth0"} `))
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
		if err != nil || first != second {
			t.Errorf("%+v became %+v, %v", first, second, err)
		}
	})
}
