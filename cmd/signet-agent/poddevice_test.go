package main

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// Who asks for netkit gets it or an error; who leaves it open gets it where the
// kernel has it, and an error only if it cannot be told whether it has.
func TestPodDevice(t *testing.T) {
	lacking := fmt.Errorf("create a netkit pair: %w", unix.EOPNOTSUPP)
	for _, c := range []struct {
		text   string
		probe  error
		netkit bool
		fails  bool
	}{
		{"", errors.New("not to be asked"), false, false},
		{"veth", errors.New("not to be asked"), false, false},
		{"netkit", nil, true, false},
		{"netkit", lacking, false, true},
		{"auto", nil, true, false},
		{"auto", lacking, false, false},
		{"auto", unix.EPERM, false, true},
	} {
		d, err := parsePodDevice(c.text)
		if err != nil {
			t.Fatal(err)
		}
		netkit, err := d.netkit(func() error { return c.probe })
		if netkit != c.netkit || (err != nil) != c.fails {
			t.Errorf("%q, where the probe says %v: %v, %v", c.text, c.probe, netkit, err)
		}
	}
}

func TestPodDeviceOfConfig(t *testing.T) {
	for text, want := range map[string]podDevice{"": vethDevice, "\npodDevice: auto": autoDevice, "\npodDevice: netkit": netkitDevice} {
		cfg, err := loadText(t, goodConfig+text)
		if err != nil || cfg.pods != want {
			t.Errorf("%q: %q, %v", text, cfg.pods, err)
		}
	}
	if _, err := loadText(t, goodConfig+"\npodDevice: ipvlan"); err == nil || !strings.Contains(err.Error(), "podDevice") {
		t.Errorf("ipvlan: %v", err)
	}
}
