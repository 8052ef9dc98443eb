package main

import (
	"os/exec"
	"strings"
	"testing"
)

// The runtime starts this program for every pod: it must stay small and
// needs neither the API server nor eBPF nor WireGuard.
func TestDependencies(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", ".").CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for _, banned := range []string{"k8s.io/", "github.com/cilium/ebpf", "golang.zx2c4.com/", "github.com/signet-cni/signet/enforce", "github.com/signet-cni/signet/overlay"} {
		for dep := range strings.Lines(string(out)) {
			if strings.HasPrefix(dep, banned) {
				t.Errorf("links %s", dep)
			}
		}
	}
}
