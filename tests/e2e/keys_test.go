//go:build e2e

package e2e

import (
	"encoding/json"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/signet-cni/signet/internal/api"
	"github.com/signet-cni/signet/tests/e2e/lab"
)

// TestKeys looks at the tunnel and changes every node's keys under traffic, with
// the command as a user runs it.
func TestKeys(t *testing.T) {
	signet := buildCommand(t)
	db, client, denied := server("keys", "db", lab.Worker), server("keys", "client", lab.Worker2), server("keys", "denied", lab.Worker2)
	create(t, alone("keys"), db, client, denied)
	apply(t, strings.ReplaceAll(agentPolicy, "e2e-agent", "e2e-keys"))
	settle()
	t.Log("\n" + signet(t, "encrypt", "status"))
	before := encryption(t, signet)
	interrupt(t, 2*time.Second, 0, func(t *testing.T) { t.Log("\n" + signet(t, "key", "rotate")) }, client, denied, db)
	after := encryption(t, signet)
	for node, e := range before {
		now, ok := after[node]
		if !ok || now.Key.PublicKey == e.Key.PublicKey || !now.Key.Made.After(e.Key.Made) {
			t.Errorf("node %s: key %+v became %+v", node, e.Key, now.Key)
		}
		for _, p := range now.Peers {
			if p.Key.PublicKey != after[p.Node].Key.PublicKey || p.Device != "signet0" || p.Problem != "" {
				t.Errorf("node %s has peer %+v", node, p)
			}
		}
	}
	t.Run("signet-wg replaced", func(t *testing.T) {
		// Each of the two nodes is without WireGuard for less than half a second.
		interrupt(t, 2*time.Second, 0.05, func(t *testing.T) {
			kubectl(t, "rollout", "restart", "daemonset", "signet-wg", "-n", lab.SignetNamespace)
			kubectl(t, "rollout", "status", "daemonset", "signet-wg", "-n", lab.SignetNamespace, "--timeout=3m")
		}, client, denied, db)
	})
}

// buildCommand builds the command line, and gives what runs it against the
// cluster; it fails the test if the command does.
func buildCommand(t *testing.T) func(*testing.T, ...string) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "signet")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", binary, "../../cmd/signet").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return func(t *testing.T, args ...string) string {
		t.Helper()
		args = append(args, "--context", cluster.Context)
		out, err := exec.CommandContext(t.Context(), binary, args...).CombinedOutput()
		if err != nil {
			t.Fatalf("signet %v: %v\n%s", args, err, out)
		}
		return string(out)
	}
}

func encryption(t *testing.T, signet func(*testing.T, ...string) string) map[string]api.Encryption {
	t.Helper()
	var answer struct{ Items []api.Encryption }
	if err := json.Unmarshal([]byte(signet(t, "encrypt", "status", "-o", "json")), &answer); err != nil {
		t.Fatal(err)
	}
	nodes := map[string]api.Encryption{}
	for _, e := range answer.Items {
		nodes[e.Node] = e
	}
	if len(nodes) != len(cluster.Nodes) {
		t.Errorf("%d nodes answered, want %d", len(nodes), len(cluster.Nodes))
	}
	return nodes
}
