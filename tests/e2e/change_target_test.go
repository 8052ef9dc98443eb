//go:build e2e

package e2e

import (
	"testing"

	"github.com/signet-cni/signet/tests/e2e/lab"
)

const targetManifest = `
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: closed, namespace: e2e-target}
spec:
  podSelector: {matchLabels: {is: closed}}
  ingress: [{from: [{podSelector: {matchLabels: {app: bystander}}}]}]
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: picky, namespace: e2e-target}
spec:
  podSelector: {matchLabels: {app: picky}}
  policyTypes: [Egress]
  egress: [{to: [{podSelector: {matchLabels: {is: welcoming}}}]}]
`

// TestTargetChange changes the labels of a server under traffic of clients on
// its own node and on another: whether a policy for ingress selects it, and
// whether it is a peer of one for egress.
func TestTargetChange(t *testing.T) {
	ns := prefix + "target"
	db, near, bystander := server("target", "db", lab.Worker), server("target", "near", lab.Worker), server("target", "bystander", lab.Worker2)
	far, picky := server("target", "far", lab.Worker2), server("target", "picky", lab.Worker2)
	create(t, alone("target"), db, near, bystander, far, picky)
	other, here, there, choosy := talk(t, bystander, db), talk(t, near, db), talk(t, far, db), talk(t, picky, db)
	label := func(is string) func() {
		return func() { kubectl(t, "label", "--overwrite", "pod", "-n", ns, "db", is) }
	}
	choosy.expect(t, "egress policy for other peers", false, func() { apply(t, targetManifest) })
	choosy.expect(t, "target labelled: a peer of egress", true, label("is=welcoming"))
	here.expect(t, "target labelled: a subject, same node", false, label("is=closed"))
	there.expect(t, "target labelled: a subject, other node", false, func() {})
	here.expect(t, "target no longer labelled, same node", true, label("is-"))
	there.expect(t, "target no longer labelled, other node", true, func() {})
	choosy.expect(t, "and no longer a peer of egress", false, func() {})
	undisturbed(t, other)
}
