//go:build e2e

package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/signet-cni/signet/tests/e2e/lab"
)

// identityManifest is an Identity of this number for pods of one label.
func identityManifest(name, namespace, app string) string {
	return fmt.Sprintf("apiVersion: signet-cni.io/v1alpha1\nkind: Identity\nmetadata: {name: %q}\n"+
		"spec: {namespace: %s, namespaceLabels: {kubernetes.io/metadata.name: %[2]s}, podLabels: {app: %s}}\n", name, namespace, app)
}

// TestIdentityByHand edits and deletes the identity of a pod that talks. An
// edit is refused, a deletion repaired, a reserved number never taken; nothing
// opens, and nothing is interrupted.
func TestIdentityByHand(t *testing.T) {
	db, client, enemy := server("hand", "db", lab.Worker), server("hand", "client", lab.Worker2), server("hand", "enemy", lab.Worker2)
	create(t, alone("hand"), db, client, enemy)
	apply(t, `
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: db, namespace: e2e-hand}
spec:
  podSelector: {matchLabels: {app: db}}
  ingress:
  - from:
    - podSelector: {matchLabels: {app: client}}
`)
	settle()
	c, intruder, began := talk(t, client, db), watch(t, lab.New, enemy, db), time.Now()
	id, foe := number(t, "hand", "client"), number(t, "hand", "enemy")
	refused := func(what, manifest string) {
		t.Helper()
		if err := cluster.Apply(t.Context(), manifest); err == nil {
			t.Errorf("%s is accepted", what)
		}
	}
	refused("an identity with other labels", identityManifest(fmt.Sprint(foe), prefix+"hand", "client"))
	refused("a reserved number", identityManifest("3", prefix+"hand", "client"))
	refused("a name that is no number", identityManifest("client", prefix+"hand", "client"))
	for _, n := range []uint32{id, foe} {
		before := identityUID(t, n)
		kubectl(t, "delete", "identity", fmt.Sprint(n))
		for deadline := time.Now().Add(bound); ; time.Sleep(200 * time.Millisecond) {
			if uid := identityUID(t, n); uid != "" && uid != before {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("identity %d is not published again", n)
			}
		}
	}
	settle()
	undisturbed(t, c)
	neverBetween(t, "enemy", intruder, began, time.Now())
}

// TestGrowth warns of a namespace before it has too many identities, and says
// which label to look at.
func TestGrowth(t *testing.T) {
	configure(t, "identitiesPerNamespace: 1000", "identitiesPerNamespace: 5")
	var pods []*lab.Pod
	for n := range 5 {
		p := server("growth", fmt.Sprint("run-", n), lab.Worker)
		p.Labels = map[string]string{"app": "batch", "run": fmt.Sprint(n)}
		pods = append(pods, p)
	}
	create(t, alone("growth"), pods...)
	awaitEvent(t, "Namespace", prefix+"growth", "label run splits them most")
	for node, n := range cluster.Nodes {
		out, err := cluster.OnNode(t.Context(), node, "curl", "-sf", "http://127.0.0.1:9470/metrics")
		if err != nil {
			t.Fatalf("node %s: %v", n.Name, err)
		}
		wants(t, n.Name, out, "signet_namespace_identities_limit 5\n")
		if strings.Contains(out, "signet_namespace_identities_max 0\n") {
			t.Errorf("node %s counts no identities", n.Name)
		}
	}
	top, errs, code := signet(t, "identity", "top")
	if code != 0 {
		t.Fatalf("exit code %d: %s%s", code, top, errs)
	}
	wants(t, "identity top", top, "run")
}

// TestBadIgnoreList gives the agents a list that cannot be used. They go on
// with the last good one, and say so.
func TestBadIgnoreList(t *testing.T) {
	before := kubectl(t, "get", "configmap", "signet-config", "-n", lab.SignetNamespace, "-o", `jsonpath={.data.config\.yaml}`)
	t.Cleanup(func() { writeConfig(t, before) })
	bad := strings.Replace(before, "- controller-uid", "- \"!?\"", 1)
	if bad == before {
		t.Fatalf("no ignore list in\n%s", before)
	}
	patchConfig(t, bad)
	name := cluster.Nodes[lab.Worker].Name
	for deadline := time.Now().Add(3 * time.Minute); ; time.Sleep(time.Second) {
		touchAgents(t)
		out, err := cluster.Signet(t.Context(), lab.Worker, "status")
		if err == nil && strings.Contains(out, "last good one is in force") {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("the agent does not tell of a bad ignore list: %v\n%s", err, out)
		}
	}
	awaitEvent(t, "Node", name, "last good one is in force")
	if !configured(before) {
		t.Error("the last good configuration is not kept")
	}
}
