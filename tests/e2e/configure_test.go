//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/signet-cni/signet/tests/e2e/lab"
)

// configure replaces texts of the agents' configuration, until the test ends,
// and waits until every agent has it in force.
func configure(t *testing.T, replacements ...string) {
	t.Helper()
	before := kubectl(t, "get", "configmap", "signet-config", "-n", lab.SignetNamespace, "-o", `jsonpath={.data.config\.yaml}`)
	t.Cleanup(func() { writeConfig(t, before) })
	after := strings.NewReplacer(replacements...).Replace(before)
	if after == before {
		t.Fatalf("the configuration has none of %q:\n%s", replacements, before)
	}
	writeConfig(t, after)
}

func writeConfig(t *testing.T, text string) {
	t.Helper()
	patchConfig(t, text)
	for deadline := time.Now().Add(3 * time.Minute); !configured(text); time.Sleep(time.Second) {
		if time.Now().After(deadline) {
			t.Fatal("the agents do not take over a changed configuration")
		}
		touchAgents(t)
	}
}

// later runs kubectl even when the test's own context has ended.
func later(t *testing.T, args ...string) {
	t.Helper()
	if _, err := cluster.Run(context.Background(), "", args...); err != nil {
		t.Fatal(err)
	}
}

func patchConfig(t *testing.T, text string) {
	t.Helper()
	patch, err := json.Marshal(map[string]any{"data": map[string]string{"config.yaml": text}})
	if err != nil {
		t.Fatal(err)
	}
	later(t, "patch", "configmap", "signet-config", "-n", lab.SignetNamespace, "--type=merge", "-p", string(patch))
}

// touchAgents changes the agents' pods: their kubelets then look at the
// ConfigMaps that these mount.
func touchAgents(t *testing.T) {
	t.Helper()
	later(t, "annotate", "--overwrite", "pod", "-n", lab.SignetNamespace, "-l", "app.kubernetes.io/name=signet",
		"signet.test/now="+time.Now().Format("150405.000"))
}

// configured reports whether this is the last good configuration of every agent.
func configured(text string) bool {
	for node := range cluster.Nodes {
		if out, err := cluster.OnNode(context.Background(), node, "cat", "/run/signet/config.yaml"); err != nil || out != text {
			return false
		}
	}
	return true
}
