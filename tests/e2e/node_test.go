//go:build e2e

package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/signet-cni/signet/tests/e2e/lab"
)

const isolateManifest = `
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: isolate, namespace: e2e-node}
spec:
  podSelector: {}
  policyTypes: [Ingress, Egress]
`

const admitNodeManifest = `
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: admit-node, namespace: e2e-node}
spec:
  podSelector: {}
  policyTypes: [Ingress]
  ingress:
  - from:
    - ipBlock: {cidr: %s/32}
`

// TestNode isolates pods on every node. Their own node still reaches them, the
// kubelet's probes among others; another node only if a policy says so; and
// pods that share a node's network are that node.
func TestNode(t *testing.T) {
	apply(t, "apiVersion: v1\nkind: Namespace\nmetadata: {name: e2e-node}\n"+"---"+isolateManifest)
	var isolated []*lab.Pod
	for i := range cluster.Nodes {
		p := server("node", fmt.Sprintf("isolated-%d", i), i)
		p.Probed = true
		isolated = append(isolated, p)
	}
	all := clients("node")
	create(t, alone("node"), append(isolated, all...)...)
	var hosts []*lab.Pod
	for _, p := range all {
		if p.HostNetwork {
			hosts = append(hosts, p)
		}
	}
	t.Run("own node only", func(t *testing.T) { try(t, fromHosts(hosts, isolated, -1)) })
	t.Run("one other node admitted", func(t *testing.T) {
		apply(t, fmt.Sprintf(admitNodeManifest, cluster.Nodes[lab.Worker].Addr))
		settle()
		try(t, fromHosts(hosts, isolated, lab.Worker))
	})
	t.Run("hosts are no subjects", func(t *testing.T) {
		for _, p := range hosts {
			to := cluster.Nodes[(p.Node+1)%len(cluster.Nodes)].Addr.String()
			if out, err := cluster.Exec(t.Context(), p.Namespace, p.Name, "", "ping", "-c1", "-W5", to); err != nil {
				t.Errorf("%s: %v\n%s", p.Key(), err, out)
			}
		}
	})
	t.Run("kubelet", func(t *testing.T) { probed(t, isolated) })
}

// fromHosts asks every isolated pod from every node; open are the pod's own
// node and the admitted one.
func fromHosts(hosts, isolated []*lab.Pod, admitted int) []lab.Probe {
	var probes []lab.Probe
	for _, from := range hosts {
		for _, to := range isolated {
			want := lab.Silence
			if from.Node == to.Node || from.Node == admitted {
				want = lab.Answer
			}
			probe := ask(from, to, 80, lab.TCP, want)
			probe.Client = cluster.Nodes[from.Node].Addr
			probes = append(probes, probe)
			probe.Protocol = lab.UDP
			probes = append(probes, probe)
		}
	}
	return probes
}

// probed checks that the kubelets, which ask every second, never missed an
// answer.
func probed(t *testing.T, pods []*lab.Pod) {
	time.Sleep(5 * time.Second)
	out := kubectl(t, "get", "pods", "-n", prefix+"node", "-l", "!client", "-o",
		`jsonpath={range .items[*]}{.metadata.name} {.status.containerStatuses[0].ready} {.status.containerStatuses[0].restartCount}{"\n"}{end}`)
	if n := strings.Count(out, " true 0\n"); n != len(pods) {
		t.Errorf("%d of %d pods are ready without a restart:\n%s", n, len(pods), out)
	}
	events := kubectl(t, "get", "events", "-n", prefix+"node", "--field-selector", "reason=Unhealthy", "-o",
		`jsonpath={range .items[*]}{.involvedObject.name} {.message}{"\n"}{end}`)
	for line := range strings.Lines(events) {
		if !strings.Contains(line, "Startup probe") { // before the server listens
			t.Error(line)
		}
	}
}
