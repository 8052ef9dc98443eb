package nodefacts_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/signet-cni/signet/internal/nodefacts"
)

// What every Linux has is there, and what cannot be read is named.
func TestCollect(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "05-signet.conflist"), []byte("{}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "other-kubeconfig"), []byte("token"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "directory.conf"), 0o700); err != nil {
		t.Fatal(err)
	}
	f := nodefacts.Collect(dir)
	if !strings.HasPrefix(f.Kernel, "Linux version ") || len(f.Links) == 0 || len(f.Addresses) == 0 || len(f.Memory) == 0 {
		t.Errorf("kernel %q, links %q, addresses %q, memory %q", f.Kernel, f.Links, f.Addresses, f.Memory)
	}
	if !strings.Contains(strings.Join(f.Links, "\n"), ": lo: <up|loopback") {
		t.Errorf("no loopback device in %q", f.Links)
	}
	if f.Settings["net/ipv4/ip_forward"] == "" || f.Settings["net/ipv4/conf/all/rp_filter"] == "" {
		t.Errorf("settings %v", f.Settings)
	}
	if f.CNI["05-signet.conflist"] != "{}" || len(f.CNI) != 2 || !strings.Contains(strings.Join(f.Missing, "\n"), "directory.conf") {
		t.Errorf("CNI %q, missing %q", f.CNI, f.Missing)
	}
}
