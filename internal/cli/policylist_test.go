package cli_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/signet-cni/signet/enforce/policy"
	"github.com/signet-cni/signet/identity"
	"github.com/signet-cni/signet/internal/api"
)

func role(name string) *identity.Selector {
	return &identity.Selector{Requirements: []identity.Requirement{{Key: "role", Operator: identity.In, Values: []string{name}}}}
}

// vipPolicy is the concert's policy as a node tells it.
func vipPolicy(node string, local int, hits, denied uint64) api.PolicyStatus {
	return api.PolicyStatus{
		Node: node, Namespace: "concert", Name: "vip", Ingress: true, Identities: 1, Local: local, Denied: denied,
		Rules: []api.RuleStatus{
			{Direction: api.Ingress, Text: "from pods with role=security in namespace concert on TCP 80", Hits: hits},
			{Direction: api.Ingress, Index: 1, Text: "from block 192.0.2.0/24 on all ports"},
		},
		Source: policy.Policy{
			Namespace: "concert", Name: "vip", Subjects: *role("vip"), IsolatesIngress: true,
			Ingress: []policy.Rule{{
				Peers: []policy.Peer{{Pods: role("security")}}, Ports: []policy.Port{{Protocol: policy.TCP, First: 80, Last: 80}},
			}},
		},
	}
}

func policed(t *testing.T) *cluster {
	t.Helper()
	return explained(t, func(one, two *node) {
		unused := api.PolicyStatus{Namespace: "concert", Name: "unused", Ingress: true, Egress: true}
		one.policies = []api.PolicyStatus{vipPolicy("worker-1", 1, 3, 2), unused}
		two.policies = []api.PolicyStatus{vipPolicy("worker-2", 0, 4, 0), unused}
		admitted := flow(2, "worker-1", "from_overlay", api.Admitted, "", security(false), vip(true))
		dropped := flow(4, "worker-1", "from_overlay", api.Dropped, "policy-ingress", backend(false), vip(true))
		flowRows(one.flows, admitted, admitted, dropped)
	})
}

const previewed = `
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: vip, namespace: concert}
spec:
  podSelector: {matchLabels: {role: vip}}
  ingress: [{from: [{podSelector: {matchLabels: {role: backend}}}]}]
`

func TestGoldenPolicies(t *testing.T) {
	file := filepath.Join(t.TempDir(), "policy.yaml")
	if err := os.WriteFile(file, []byte(previewed), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, args := range map[string]string{
		"policy-list":           "policy list",
		"policy-list-none":      "policy list -n nowhere",
		"policy-preview":        "policy preview -f " + file,
		"policy-preview-delete": "policy preview --delete -f " + file,
		"policy-preview-json":   "policy preview -o json -f " + file,
	} {
		t.Run(name, func(t *testing.T) {
			golden(t, name+".txt", run(t, policed(t), append(strings.Fields(args), "--socket", noSocket)...).String())
		})
	}
}

func TestPreviewRefuses(t *testing.T) {
	file := filepath.Join(t.TempDir(), "bad.yaml")
	if err := os.WriteFile(file, []byte("kind: Pod\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		args string
		code int
		want string
	}{
		"no file":   {"policy preview", 2, "--filename"},
		"missing":   {"policy preview -f /nonexistent", 1, "no such file"},
		"no policy": {"policy preview -f " + file, 1, "no NetworkPolicy"},
	} {
		got := run(t, policed(t), append(strings.Fields(test.args), "--socket", noSocket)...)
		if got.code != test.code || !strings.Contains(got.stderr, test.want) {
			t.Errorf("%s: %s", name, got)
		}
	}
}
