package main

import (
	"path/filepath"
	"strings"
	"testing"
)

func TestPreflightNamesEverythingThatIsMissing(t *testing.T) {
	dir := t.TempDir()
	cfg := config{options: options{
		pinPath:   filepath.Join(dir, "signet"),
		conflists: filepath.Join(dir, "absent"),
	}}
	err := preflight(cfg)
	if err == nil {
		t.Fatal("a directory that is no BPF file system passed")
	}
	for _, want := range []string{"no BPF file system", "mount -t bpf", "CNI configuration"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in the error: %v", want, err)
		}
	}
}
