package guard

import (
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

var config = Config{
	Pods:    []netip.Prefix{netip.MustParsePrefix("10.244.0.0/16"), netip.MustParsePrefix("fd00:10:244::/56")},
	Covered: Devices("sgn"), Ports: Ports(51872), Tunnel: netip.MustParsePrefix("fd51:a2b3::/32"),
}

func TestInstallUnit(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, unitName)
	if err := os.WriteFile(path, []byte("an older one"), 0o644); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second finds it
		if err := InstallUnit(dir, "/opt/cni/bin/signet", config); err != nil {
			t.Fatal(err)
		}
	}
	enabled, err := os.ReadFile(filepath.Join(dir, "sysinit.target.wants", unitName))
	if err != nil {
		t.Fatal(err)
	}
	const command = "ExecStart=/opt/cni/bin/signet guard --pods 10.244.0.0/16,fd00:10:244::/56 --covered signet*,sgn* " +
		"--ports 51872,51873 --tunnel fd51:a2b3::/32\n"
	if !strings.Contains(string(enabled), command) {
		t.Errorf("%s\nlacks %s", enabled, command)
	}
	if left, _ := filepath.Glob(path + ".*"); len(left) > 0 {
		t.Errorf("left %v", left)
	}
	if err := InstallUnit(filepath.Join(dir, "absent"), "/x", config); err == nil {
		t.Error("no error without the directory")
	}
}

// What the unit passes is what the command understands.
func TestArguments(t *testing.T) {
	read, err := parse(config.arguments()[1:], io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(read, config) {
		t.Errorf("%+v, want %+v", read, config)
	}
}

// Each of these is refused before anything is written.
func TestRefused(t *testing.T) {
	good := config.arguments()[1:]
	with := func(flag, value string) []string {
		args := append([]string{}, good...)
		for i := range args {
			if args[i] == flag {
				args[i+1] = value
			}
		}
		return args
	}
	for name, args := range map[string][]string{
		"nothing":           nil,
		"more":              append(with("", ""), "more"),
		"no range":          with("--pods", "10.244.0.0"),
		"a range's address": with("--pods", "10.244.0.1/16"),
		"any device":        with("--covered", "*"),
		"a long device":     with("--covered", "sixteen-letters-"),
		"a large port":      with("--ports", "65536"),
		"an IPv4 tunnel":    with("--tunnel", "10.0.0.0/8"),
	} {
		if err := Main(args, io.Discard); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
