package cni_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/signet-cni/signet/cni"
)

func TestConflist(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "net.d")
	path := filepath.Join(dir, "05-signet.conflist")
	opts := cni.ConflistOptions{AgentSocket: "/run/signet/cni.sock", PortMap: true, Bandwidth: true}
	if err := cni.WriteConflist(dir, opts); err != nil {
		t.Fatal(err)
	}
	const want = `{"cniVersion":"1.0.0","name":"signet","plugins":[
		{"type":"signet","agentSocket":"/run/signet/cni.sock","capabilities":{"bandwidth":true}},
		{"type":"portmap","snat":true,"capabilities":{"portMappings":true}},
		{"type":"bandwidth","capabilities":{"bandwidth":true}}]}`
	if diff := cmp.Diff(decode(t, []byte(want)), decode(t, read(t, path))); diff != "" {
		t.Error(diff)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}

	// The same again does not touch the file, other content does.
	if err := cni.WriteConflist(dir, opts); err != nil {
		t.Fatal(err)
	}
	if again, err := os.Stat(path); err != nil || !os.SameFile(info, again) {
		t.Errorf("an equal file was replaced (%v)", err)
	}
	if err := cni.WriteConflist(dir, cni.ConflistOptions{}); err != nil {
		t.Fatal(err)
	}
	const alone = `{"cniVersion":"1.0.0","name":"signet","plugins":[{"type":"signet"}]}`
	if diff := cmp.Diff(decode(t, []byte(alone)), decode(t, read(t, path))); diff != "" {
		t.Error(diff)
	}
	for range 2 {
		if err := cni.RemoveConflist(dir); err != nil {
			t.Error(err)
		}
	}
	if files, err := os.ReadDir(dir); err != nil || len(files) != 0 {
		t.Errorf("left %v, %v", files, err)
	}
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func decode(t *testing.T, data []byte) any {
	t.Helper()
	var v any
	if err := json.Unmarshal(data, &v); err != nil {
		t.Fatal(err)
	}
	return v
}
