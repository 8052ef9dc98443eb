//go:build e2e

package e2e

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/signet-cni/signet/tests/e2e/lab"
)

// awaitEvent waits until the agents have told of an object in an Event.
func awaitEvent(t *testing.T, kind, name, want string) {
	t.Helper()
	var out string
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(500 * time.Millisecond) {
		out = kubectl(t, "get", "events", "-A", "--field-selector", "involvedObject.kind="+kind+",involvedObject.name="+name,
			"-o", `jsonpath={range .items[*]}{.type} {.reason}: {.message}{"\n"}{end}`)
		if strings.Contains(out, want) {
			t.Logf("%s %s: %s", kind, name, strings.TrimSpace(out))
			return
		}
	}
	t.Errorf("no Event on %s %s says %q; there are: %q", kind, name, want, out)
}

// remove deletes an object when the test ends.
func remove(t *testing.T, args ...string) {
	t.Cleanup(func() {
		if _, err := cluster.Run(context.Background(), "", append([]string{"delete", "--ignore-not-found"}, args...)...); err != nil {
			t.Error(err)
		}
	})
}

// badPolicy has an address that the API accepts and that has two meanings.
const badPolicy = `
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: bad, namespace: e2e-refusal}
spec:
  podSelector: {matchLabels: {app: db}}
  ingress:
  - from:
    - ipBlock: {cidr: 010.244.0.0/16}
`

// goodPolicy is what has to stay in force beside it.
const goodPolicy = `
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: good, namespace: e2e-refusal}
spec:
  podSelector: {matchLabels: {app: db}}
  ingress:
  - from:
    - podSelector: {matchLabels: {app: friend}}
`

// TestRefusal gives the agents objects that they must not use. Each is told
// of, opens nothing and disturbs nothing.
func TestRefusal(t *testing.T) {
	db, friend, enemy := server("refusal", "db", lab.Worker), server("refusal", "friend", lab.Worker2), server("refusal", "enemy", lab.Worker2)
	create(t, alone("refusal"), db, friend, enemy)
	check := func(t *testing.T, friendly lab.Outcome) {
		t.Helper()
		settle()
		try(t, []lab.Probe{
			ask(friend, db, 80, lab.TCP, friendly), ask(enemy, db, 80, lab.TCP, lab.Silence),
			ask(friend, enemy, 80, lab.TCP, lab.Answer), ask(db, friend, 80, lab.UDP, lab.Answer),
		})
	}
	t.Run("policy", func(t *testing.T) {
		apply(t, badPolicy)
		awaitEvent(t, "NetworkPolicy", "bad", "010.244.0.0/16")
		counted(t, `signet_policy_refused_parts{namespace="e2e-refusal",policy="bad",reason="peer"} 1`)
		check(t, lab.Silence)
		apply(t, goodPolicy)
		check(t, lab.Answer)
	})
	t.Run("identity", func(t *testing.T) {
		// The labels are the friend's; the number is made up.
		apply(t, "apiVersion: signet-cni.io/v1alpha1\nkind: Identity\nmetadata: {name: \"4242\"}\n"+
			"spec: {namespace: e2e-refusal, namespaceLabels: {kubernetes.io/metadata.name: e2e-refusal}, podLabels: {app: friend}}\n")
		remove(t, "identity", "4242")
		awaitEvent(t, "Identity", "4242", "it stands for nothing")
		check(t, lab.Answer)
	})
}

// counted checks that every node's metrics have a line.
func counted(t *testing.T, line string) {
	t.Helper()
	for n, node := range cluster.Nodes {
		out, err := cluster.OnNode(t.Context(), n, "curl", "-sf", "http://127.0.0.1:9470/metrics")
		if err != nil || !strings.Contains(out, line+"\n") {
			t.Errorf("metrics of %s lack %s: %v", node.Name, line, err)
		}
	}
}
