//go:build e2e

package e2e

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/signet-cni/signet/tests/e2e/lab"
)

// reuseManifest has a pod that ends at once, whom policy admits to db and
// isolates.
const reuseManifest = `
apiVersion: v1
kind: Pod
metadata: {name: ghost, namespace: e2e-reuse, labels: {app: ghost}}
spec:
  nodeName: %s
  restartPolicy: Never
  enableServiceLinks: false
  automountServiceAccountToken: false
  containers: [{name: main, image: %s, command: ["true"]}]
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: db, namespace: e2e-reuse}
spec:
  podSelector: {matchLabels: {app: db}}
  ingress: [{from: [{podSelector: {matchLabels: {app: ghost}}}]}]
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: ghost, namespace: e2e-reuse}
spec:
  podSelector: {matchLabels: {app: ghost}}
  policyTypes: [Ingress, Egress]
`

// TestReusedAddress gives a pod the address of one that has completed, and
// still has it in the API. The new pod inherits neither what the old one might
// do nor what it might not.
func TestReusedAddress(t *testing.T) {
	db, other := server("reuse", "db", lab.Worker2), server("reuse", "other", lab.Worker2)
	create(t, alone("reuse"), db, other)
	apply(t, fmt.Sprintf(reuseManifest, cluster.Nodes[lab.Worker].Name, lab.Image))
	kubectl(t, "wait", "-n", prefix+"reuse", "pod/ghost", "--for=jsonpath={.status.phase}=Succeeded", "--timeout=1m")
	addr, err := netip.ParseAddr(ghostAddr(t))
	if err != nil {
		t.Fatal(err)
	}
	heir := server("reuse", "heir", lab.Worker)
	giveNext(t, addr)
	if err := cluster.Create(t.Context(), nil, []*lab.Pod{heir}); err != nil {
		t.Fatal(err)
	}
	if heir.Addr != addr || ghostAddr(t) != addr.String() {
		t.Fatalf("the new pod has %s, and the completed one %s; want both to have %s", heir.Addr, ghostAddr(t), addr)
	}
	try(t, []lab.Probe{
		ask(heir, db, 80, lab.TCP, lab.Silence), ask(heir, db, 80, lab.UDP, lab.Silence),
		ask(heir, other, 80, lab.TCP, lab.Answer), ask(other, heir, 80, lab.TCP, lab.Answer),
	})
}

func ghostAddr(t *testing.T) string {
	return kubectl(t, "get", "pod", "-n", prefix+"reuse", "ghost", "-o", "jsonpath={.status.podIP}")
}

// giveNext makes a worker's allocator go on from the address before, once the
// address is free.
func giveNext(t *testing.T, addr netip.Addr) {
	t.Helper()
	script := fmt.Sprintf(`dir=$(dirname "$(find /run/signet -name last_reserved_ip.0)")
		for _ in $(seq 100); do [ -e "$dir/%s" ] || break; sleep 0.1; done
		[ ! -e "$dir/%[1]s" ] && printf %%s %s >"$dir/last_reserved_ip.0"`, addr, addr.Prev())
	if _, err := cluster.OnNode(t.Context(), lab.Worker, "sh", "-c", script); err != nil {
		t.Fatal(err)
	}
	time.Sleep(100 * time.Millisecond)
}
