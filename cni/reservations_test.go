package cni

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"github.com/signet-cni/signet/cni/internal/wire"
)

// What is remembered of reservations never outdoes the files.
func TestReservationsFollowFiles(t *testing.T) {
	dir := t.TempDir()
	node := Node{Name: "n1", PodCIDR: netip.MustParsePrefix("198.18.1.0/24")}
	i := &ipam{dir: dir}
	first, other := wire.Key{ContainerID: "first", IfName: "eth0"}, wire.Key{ContainerID: "other", IfName: "eth0"}
	get := func(key wire.Key, want string) {
		t.Helper()
		if got, _, err := i.allocate(key, node); err != nil || got.String() != want {
			t.Errorf("%s got %v, %v; want %s", key.ContainerID, got, err, want)
		}
	}
	write := func(addr, content string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, addr), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	holds := func(addr string, want bool) {
		t.Helper()
		if _, err := os.Stat(filepath.Join(dir, addr)); (err == nil) != want {
			t.Errorf("%s is reserved: %t, want %t", addr, err == nil, want)
		}
	}
	get(first, "198.18.1.2")
	get(first, "198.18.1.2") // it has one
	write("198.18.1.3", "stranger\r\neth0")
	get(other, "198.18.1.4") // what nobody remembers is not handed out
	write("198.18.1.4", "stranger\r\neth0")
	get(other, "198.18.1.5") // what was taken away is not handed out again
	write("198.18.1.9", "other\r\neth0")
	if owners, err := i.owners(); err != nil || len(owners) != 3 {
		t.Errorf("owners %v, %v", owners, err)
	}
	for _, key := range []wire.Key{first, other} {
		if err := i.release(key); err != nil {
			t.Error(err)
		}
	}
	for addr, want := range map[string]bool{
		"198.18.1.2": false, "198.18.1.5": false, "198.18.1.9": false, // what another wrote for it is found, too
		"198.18.1.3": true, "198.18.1.4": true,
	} {
		holds(addr, want)
	}
	again := &ipam{dir: dir} // the agent starts anew
	if err := again.release(wire.Key{ContainerID: "stranger", IfName: "eth0"}); err != nil {
		t.Error(err)
	}
	holds("198.18.1.3", false)
	holds("198.18.1.4", false)
}

// A pod's address costs the same however many others there are.
func BenchmarkAddress(b *testing.B) {
	for _, pods := range []int{0, 110} {
		b.Run(fmt.Sprintf("beside-%d", pods), func(b *testing.B) {
			i := &ipam{dir: b.TempDir()}
			node := Node{Name: "n1", PodCIDR: netip.MustParsePrefix("198.18.0.0/23")}
			for n := range pods {
				if _, _, err := i.allocate(wire.Key{ContainerID: fmt.Sprint("c", n), IfName: "eth0"}, node); err != nil {
					b.Fatal(err)
				}
			}
			key := wire.Key{ContainerID: "one", IfName: "eth0"}
			for b.Loop() {
				if _, _, err := i.allocate(key, node); err != nil {
					b.Fatal(err)
				}
				if err := i.release(key); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
