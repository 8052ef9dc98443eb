package main

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/signet-cni/signet/cni"
)

const goodConfig = `
clusterID: "00c0de"
clusterCIDR: 10.244.0.0/16
serviceCIDR: 10.96.0.0/16
wireguardPort: 51872
logLevel: info
`

func loadText(t *testing.T, text string) (config, error) {
	t.Helper()
	o := defaultOptions()
	o.nodeName = "node"
	o.runDir = t.TempDir()
	o.configPath = filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(o.configPath, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return o.load()
}

func TestLoadConfig(t *testing.T) {
	cfg, err := loadText(t, goodConfig)
	if err != nil {
		t.Fatal(err)
	}
	if cfg.clusterCIDR.V4.String() != "10.244.0.0/16" || cfg.clusterCIDR.V6.IsValid() || cfg.port != 51872 || cfg.cluster.String() != "00c0de" {
		t.Errorf("read %+v", cfg)
	}
}

// Both families, in every notation.
func TestLoadDualStackConfig(t *testing.T) {
	for _, ranges := range []string{
		"10.244.0.0/16,fd10:244::/48", "10.244.0.0/16, fd10:244::/48", "fd10:244::/48,10.244.0.0/16",
		"[10.244.0.0/16, 'fd10:244::/48']", "\n- fd10:244::/48\n- 10.244.0.0/16",
	} {
		cfg, err := loadText(t, strings.Replace(goodConfig, "10.244.0.0/16", ranges, 1))
		if err != nil {
			t.Errorf("%s: %v", ranges, err)
			continue
		}
		if cfg.clusterCIDR.V4.String() != "10.244.0.0/16" || cfg.clusterCIDR.V6.String() != "fd10:244::/48" {
			t.Errorf("%s: read %v", ranges, cfg.clusterCIDR)
		}
	}
}

func TestLoadConfigRefuses(t *testing.T) {
	for _, c := range []struct{ name, from, to, want string }{
		{"unknown field", "logLevel", "loglevle", "unknown field"},
		{"cluster id", "00c0de", "c0de", "hex"},
		{"cluster range", "10.244.0.0/16", "10.244.0.0", "clusterCIDR"},
		{"host bits", "10.244.0.0/16", "10.244.0.1/16", "clusterCIDR"},
		{"IPv6 range", "10.96.0.0/16", "fd00::/108", "serviceCIDR"},
		{"two IPv4 ranges", "10.96.0.0/16", "10.96.0.0/16,10.97.0.0/16", "two ranges of one family"},
		{"three ranges", "10.96.0.0/16", "10.96.0.0/16,fd10:96::/112,fd10:97::/112", "two ranges of one family"},
		{"no range", "10.96.0.0/16", "[]", "no IPv4 range"},
		{"half a pair", "10.96.0.0/16", "'10.96.0.0/16,'", "serviceCIDR"},
		{"IPv6 overlap", "10.244.0.0/16\nserviceCIDR: 10.96.0.0/16", "10.244.0.0/16,fd10::/16\nserviceCIDR: 10.96.0.0/16,fd10:96::/112", "overlap"},
		{"IPv6 host bits", "10.244.0.0/16", "10.244.0.0/16,fd10::1/48", "clusterCIDR"},
		{"the tunnel's range", "10.244.0.0/16", "10.244.0.0/16,fd00:c0de::/48", "the tunnel's"},
		{"a number", "10.96.0.0/16", "7", "want a range"},
		{"port", "51872", "0", "wireguardPort"},
		{"port too high", "51872", "70000", "cannot unmarshal"},
		{"level", "info", "loud", "logLevel"},
		{"ignored label", "logLevel: info", "logLevel: info\nignoreLabels: [good, 'b$d']", "ignored label 2"},
		{"attestation", "logLevel: info", "logLevel: info\nattestation: off", "want audit or enforce"},
		{"grace", "logLevel: info", "logLevel: info\nidentityGrace: 10", "want a duration"},
		{"grace too short", "logLevel: info", "logLevel: info\nidentityGrace: 19s", "from 20s"},
		{"limit", "logLevel: info", "logLevel: info\nidentitiesPerNamespace: -1", "want 0 or more"},
		{"port without a next", "51872", "65535", "1 to 65534"},
		{"key age", "logLevel: info", "logLevel: info\nkeyRotation: 10m", "1h0m0s or more"},
		{"MTU", "logLevel: info", "logLevel: info\nmtu: 500", "from 676"},
		{"overlap", "10.96.0.0/16", "10.244.128.0/17", "overlap"},
		{"no YAML", "clusterID:", "clusterID", "yaml"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := loadText(t, strings.Replace(goodConfig, c.from, c.to, 1))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want one about %q", err, c.want)
			}
		})
	}
}

func TestLoadNeedsNodeName(t *testing.T) {
	o := defaultOptions()
	o.nodeName = ""
	if _, err := o.load(); err == nil || !strings.Contains(err.Error(), "--node-name") {
		t.Errorf("error %v, want advice about --node-name", err)
	}
}

// A pod keeps no address of a range that its node has lost: the datapath would
// refuse it, and the policy loop with it.
func TestUsable(t *testing.T) {
	ep := func(addr6 string) cni.Endpoint {
		e := cni.Endpoint{Addr: netip.MustParseAddr("10.244.1.2")}
		if addr6 != "" {
			e.Addr6 = netip.MustParseAddr(addr6)
		}
		return e
	}
	for _, c := range []struct {
		range6, addr6 string
		want          int
	}{
		{"fd10:244:0:1::/64", "fd10:244:0:1::10", 2},
		{"fd10:244:0:2::/64", "fd10:244:0:1::10", 1},
		{"fd10:244:0:1::/64", "", 1},
		{"", "fd10:244:0:1::10", 1},
	} {
		var range6 netip.Prefix
		if c.range6 != "" {
			range6 = netip.MustParsePrefix(c.range6)
		}
		if got := usable([]cni.Endpoint{ep(c.addr6)}, range6); len(got[0].Addrs()) != c.want {
			t.Errorf("%+v: %v", c, got[0].Addrs())
		}
	}
}
