package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
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
	if cfg.clusterCIDR.String() != "10.244.0.0/16" || cfg.port != 51872 || cfg.cluster.String() != "00c0de" {
		t.Errorf("read %+v", cfg)
	}
}

func TestLoadConfigRefuses(t *testing.T) {
	for _, c := range []struct{ name, from, to, want string }{
		{"unknown field", "logLevel", "loglevle", "unknown field"},
		{"cluster id", "00c0de", "c0de", "hex"},
		{"cluster range", "10.244.0.0/16", "10.244.0.0", "clusterCIDR"},
		{"host bits", "10.244.0.0/16", "10.244.0.1/16", "clusterCIDR"},
		{"IPv6 range", "10.96.0.0/16", "fd00::/108", "serviceCIDR"},
		{"port", "51872", "0", "wireguardPort"},
		{"port too high", "51872", "70000", "cannot unmarshal"},
		{"level", "info", "loud", "logLevel"},
		{"ignored label", "logLevel: info", "logLevel: info\nignoreLabels: [good, 'b$d']", "ignored label 2"},
		{"attestation", "logLevel: info", "logLevel: info\nattestation: off", "want audit or enforce"},
		{"grace", "logLevel: info", "logLevel: info\nidentityGrace: 10", "want a duration"},
		{"grace too short", "logLevel: info", "logLevel: info\nidentityGrace: 1m", "from 2m0s"},
		{"limit", "logLevel: info", "logLevel: info\nidentitiesPerNamespace: -1", "want 0 or more"},
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
