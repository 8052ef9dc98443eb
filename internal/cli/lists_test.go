package cli_test

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/signet-cni/signet/internal/api"
	"github.com/signet-cni/signet/internal/cli"
)

// noSocket is a path where no agent listens.
const noSocket = "testdata/no.sock"

func TestGoldenClusters(t *testing.T) {
	for name, args := range map[string]string{
		"status":            "status",
		"status-node":       "status --node worker-1",
		"status-json":       "status -o json --node worker-2",
		"status-quiet":      "status --quiet",
		"endpoints":         "endpoint list",
		"endpoints-wide":    "endpoint list -o wide",
		"endpoints-none":    "endpoint list -n nowhere",
		"identities":        "identity list",
		"identities-wide":   "identity list -n concert -o wide",
		"identity":          "identity show 1002",
		"identity-top":      "identity top",
		"identity-top-one":  "identity top -n concert --limit 1",
		"identity-top-none": "identity top -n nowhere",
		"identity-top-json": "identity top -o json --limit 1",
		"identity-top-bad":  "identity top --limit -1",
		"identity-world":    "identity show 3",
		"identity-unknown":  "identity show 4242",
		"identity-bad":      "identity show vip",
		"flows":             "flows",
		"flows-wide":        "flows -o wide",
		"flows-json":        "flows -o json --last 1",
		"flows-drops":       "flows --verdict dropped",
		"flows-pod":         "flows --pod concert/vip",
		"flows-policy":      "flows --policy concert/vip",
		"flows-service":     "flows --port 53 --protocol udp",
		"flows-gone":        "flows --pod concert/gone",
		"unknown-node":      "status --node worker-9",
	} {
		t.Run(name, func(t *testing.T) {
			got := run(t, concert(t), append(strings.Fields(args), "--socket", noSocket)...)
			golden(t, name+".txt", got.String())
		})
	}
}

func TestGoldenPartial(t *testing.T) {
	for name, args := range map[string]string{
		"partial-status":     "status",
		"partial-endpoints":  "endpoint list",
		"partial-identities": "identity list -o json",
		"partial-flows":      "flows --last 1",
	} {
		t.Run(name, func(t *testing.T) {
			got := run(t, concert(t).broken(), append(strings.Fields(args), "--socket", noSocket)...)
			golden(t, name+".txt", got.String())
		})
	}
}

func TestLocal(t *testing.T) {
	path := serve(t, workerOne())
	for _, args := range [][]string{
		{"status", "--socket", path},
		{"status", "--local", "--socket", path},
		{"status", "-q", "--socket", path},
		{"endpoint", "list", "--socket", path},
		{"identity", "list", "--socket", path},
		{"flows", "--socket", path},
	} {
		if got := run(t, nil, args...); got.code != 0 || got.stderr != "" {
			t.Errorf("%s: %s", args, got)
		}
	}
	if got := run(t, nil, "status", "-q", "--socket", path); got.stdout != "" {
		t.Errorf("quiet says %q", got.stdout)
	}
}

func TestLocalProblems(t *testing.T) {
	silent := workerOne()
	silent.status.Ready = false
	unwell := workerTwo()
	unwell.status.Problems = unwell.status.Problems[1:]
	for name, test := range map[string]struct {
		args []string
		code int
		want string // on standard error
	}{
		"not ready":          {[]string{"status", "--local", "--quiet", "--socket", serve(t, unwell)}, 1, "bad key"},
		"no reason":          {[]string{"status", "--local", "--quiet", "--socket", serve(t, silent)}, 1, "see its log"},
		"no agent":           {[]string{"status", "--local", "--socket", noSocket}, 1, "only root"},
		"no agent, flows":    {[]string{"flows", "--local", "--socket", noSocket}, 1, "only root"},
		"no kubeconfig":      {[]string{"status", "--socket", noSocket}, 1, "no kubeconfig"},
		"local and node":     {[]string{"status", "--local", "--node", "a"}, 2, "excludes"},
		"unknown command":    {[]string{"statsu"}, 2, "statsu"},
		"unknown subcommand": {[]string{"identity", "lst"}, 2, "lst"},
		"unknown flag":       {[]string{"status", "--frobnicate"}, 2, "frobnicate"},
		"unknown format":     {[]string{"status", "-o", "yaml"}, 2, "table, json"},
		"bad since":          {[]string{"flows", "--since", "yesterday"}, 2, "yesterday"},
		"bad last":           {[]string{"flows", "--last", "-2"}, 2, "-2"},
		"bad verdict":        {[]string{"flows", "--verdict", "denied"}, 2, "denied"},
		"bad identity":       {[]string{"flows", "--identity", "vip"}, 2, "vip"},
		"bad label":          {[]string{"flows", "--label", "role"}, 2, "KEY=VALUE"},
	} {
		got := run(t, nil, test.args...)
		lines := strings.Count(got.stderr, "\n")
		if got.code != test.code || lines != 1 || !strings.Contains(got.stderr, test.want) {
			t.Errorf("%s: %s", name, got)
		}
	}
}

// A socket on the machine wins over the cluster, but not over --node.
func TestWhoIsAsked(t *testing.T) {
	path := serve(t, workerOne())
	c := concert(t)
	if got := run(t, c, "status", "--socket", path); got.code != 0 || len(c.commands) != 0 {
		t.Errorf("with a socket: %s, and %q on nodes", got, c.commands)
	}
	if got := run(t, c, "status", "--socket", path, "--node", "worker-2"); got.code != 1 || len(c.commands) != 1 {
		t.Errorf("with a node: %s, and %q on nodes", got, c.commands)
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if got := run(t, c, "endpoint", "list", "--socket", file); got.code != 0 || len(c.commands) != 3 {
		t.Errorf("with a file: %s, and %q on nodes", got, c.commands)
	}
}

func TestNoCluster(t *testing.T) {
	c := &cluster{err: errors.New("no Signet agent in namespace kube-system")}
	for _, command := range []string{"status", "endpoint list", "identity list", "identity show 1001", "flows", "flows -f"} {
		got := run(t, c, append(strings.Fields(command), "--socket", noSocket)...)
		if got.code != 1 || got.stdout != "" || got.stderr != "signet: no Signet agent in namespace kube-system\n" {
			t.Errorf("%s: %s", command, got)
		}
	}
}

func TestJSONIsTheSameEverywhere(t *testing.T) {
	var local, merged cli.Answer[api.Endpoint]
	one := run(t, nil, "endpoint", "list", "-o", "json", "--socket", serve(t, workerOne()))
	if err := json.Unmarshal([]byte(one.stdout), &local); err != nil {
		t.Fatal(err)
	}
	all := run(t, concert(t), "endpoint", "list", "-o", "json", "--socket", noSocket)
	if err := json.Unmarshal([]byte(all.stdout), &merged); err != nil {
		t.Fatal(err)
	}
	if len(local.Items) != 1 || len(merged.Items) != 3 {
		t.Errorf("%d and %d endpoints, want 1 and 3", len(local.Items), len(merged.Items))
	}
}
