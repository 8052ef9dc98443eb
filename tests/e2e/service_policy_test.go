//go:build e2e

package e2e

import (
	_ "embed"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/signet-cni/signet/tests/e2e/lab"
)

//go:embed service-policy.yaml
var judgedManifest string

// TestServicePolicy reaches Services of every kind under policies, which are
// judged on the backend: one client may reach it, and nothing else but DNS,
// and a stranger may not.
func TestServicePolicy(t *testing.T) {
	host := newHost(t, "endpoint", 1)
	if err := host.Serve(8888); err != nil {
		t.Fatal(err)
	}
	client, stranger := server("judged", "client", lab.Worker), server("judged", "stranger", lab.Worker)
	pods := []*lab.Pod{client, stranger}
	for i, name := range []string{"web-0", "web-1"} {
		pods = append(pods, &lab.Pod{
			Namespace: prefix + "judged", Name: name, Node: i, NoService: true,
			Labels: map[string]string{"role": "web"}, Ports: []int{80},
		})
	}
	create(t, alone("judged"), pods...)
	apply(t, fmt.Sprintf(judgedManifest, host.Addr))
	settle()

	t.Run("address", func(t *testing.T) { admitsOne(t, client, stranger, serviceIP(t, "web"), 8000) })
	t.Run("headless", func(t *testing.T) { admitsOne(t, client, stranger, "headless", 80) })
	t.Run("node port", func(t *testing.T) {
		for _, service := range []string{"web", "local"} {
			ports := nodePorts(t, prefix+"judged", service)
			try(t, append(toNodes([]*lab.Pod{client}, ports, lab.Worker, lab.Worker2),
				silent(toNodes([]*lab.Pod{stranger}, ports, lab.Worker, lab.Worker2))...))
		}
	})
	t.Run("session affinity", func(t *testing.T) {
		admitsOne(t, client, stranger, serviceIP(t, "sticky"), 8000)
		sticks(t, client)
	})
	t.Run("without endpoints", func(t *testing.T) {
		probes := toHost([]*lab.Pod{stranger}, serviceIP(t, "empty"), 8000)
		for i := range probes {
			probes[i].Want, probes[i].Wait = lab.Refused, 3*time.Second
		}
		try(t, probes)
	})
	t.Run("endpoint outside of the cluster", func(t *testing.T) { judgesEndpoint(t, client, host.Addr) })
}

func serviceIP(t *testing.T, service string) string {
	return kubectl(t, "get", "service", "-n", prefix+"judged", service, "-o", "jsonpath={.spec.clusterIP}")
}

func silent(probes []lab.Probe) []lab.Probe {
	for i := range probes {
		probes[i].Want = lab.Silence
	}
	return probes
}

func admitsOne(t *testing.T, client, stranger *lab.Pod, host string, port int) {
	t.Helper()
	try(t, append(toHost([]*lab.Pod{client}, host, port), silent(toHost([]*lab.Pod{stranger}, host, port))...))
}

// sticks asks a Service with affinity many times: one server answers, over TCP
// and over UDP.
func sticks(t *testing.T, client *lab.Pod) {
	t.Helper()
	for _, protocol := range []string{lab.TCP, lab.UDP} {
		var probes []lab.Probe
		for range 12 {
			probes = append(probes, lab.Probe{
				From: client, Protocol: protocol, Host: serviceIP(t, "sticky"), Port: 8000, Want: lab.Answer,
			})
		}
		servers := map[string]int{}
		for _, r := range cluster.Try(t.Context(), probes[:1]) {
			servers[r.Answered()]++
		}
		for _, r := range cluster.Try(t.Context(), probes[1:]) {
			servers[r.Answered()]++
		}
		if len(servers) != 1 || servers[""] > 0 {
			t.Errorf("%s: answered by %v, want one server", protocol, servers)
		}
	}
}

// judgesEndpoint: an ipBlock with a Service's own address admits nothing, one
// with its endpoint's does.
func judgesEndpoint(t *testing.T, client *lab.Pod, endpoint netip.Addr) {
	vip := serviceIP(t, "outside")
	probes := toHost([]*lab.Pod{client}, vip, 8000)
	for i := range probes {
		probes[i].Server, probes[i].Client = "endpoint", cluster.Nodes[client.Node].Addr
	}
	for _, step := range []struct {
		name, block string
		want        lab.Outcome
	}{{"no block", "", lab.Silence}, {"the Service's", vip, lab.Silence}, {"the endpoint's", endpoint.String(), lab.Answer}} {
		t.Run(step.name, func(t *testing.T) {
			if step.block != "" {
				apply(t, fmt.Sprintf(blockManifest, step.block))
				settle()
			}
			for i := range probes {
				probes[i].Want = step.want
			}
			try(t, probes)
		})
	}
}

const blockManifest = `
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: block, namespace: e2e-judged}
spec:
  podSelector: {matchLabels: {app: client}}
  policyTypes: [Egress]
  egress: [{to: [{ipBlock: {cidr: %s/32}}]}]
`
