//go:build e2e

package e2e

import (
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/signet-cni/signet/tests/e2e/lab"
	"github.com/signet-cni/signet/tests/e2e/outside"
)

const serviceManifest = `
apiVersion: v1
kind: Service
metadata: {name: web, namespace: e2e-service}
spec:
  selector: {app: web}
  ports:
  - {name: tcp, port: 8000, targetPort: 80, protocol: TCP}
  - {name: udp, port: 8000, targetPort: 80, protocol: UDP}
---
apiVersion: v1
kind: Service
metadata: {name: headless, namespace: e2e-service}
spec:
  clusterIP: None
  selector: {app: web}
  ports:
  - {name: tcp, port: 80, protocol: TCP}
  - {name: udp, port: 80, protocol: UDP}
---
apiVersion: v1
kind: Service
metadata: {name: anywhere, namespace: e2e-service}
spec:
  type: NodePort
  externalTrafficPolicy: Cluster
  selector: {app: web}
  ports:
  - {name: tcp, port: 80, protocol: TCP}
  - {name: udp, port: 80, protocol: UDP}
---
apiVersion: v1
kind: Service
metadata: {name: local, namespace: e2e-service}
spec:
  type: NodePort
  externalTrafficPolicy: Local
  selector: {app: web}
  ports:
  - {name: tcp, port: 80, protocol: TCP}
  - {name: udp, port: 80, protocol: UDP}
`

const hostPort = 18080

// TestService reaches two backends from pods and hosts on every node, and from
// outside, in every way that Kubernetes has.
func TestService(t *testing.T) {
	pods := clients("service")
	for i, name := range []string{"web-0", "web-1"} { // on the workers
		pods = append(pods, &lab.Pod{
			Namespace: prefix + "service", Name: name, Node: i, NoService: true,
			Labels: map[string]string{"app": "web"}, Ports: []int{80},
		})
	}
	pods = append(pods, &lab.Pod{
		Namespace: prefix + "service", Name: "hostport", Node: lab.Worker, NoService: true,
		Labels: map[string]string{"app": "hostport"}, Ports: []int{81}, HostPorts: map[int]int{81: hostPort},
	})
	create(t, alone("service"), pods...)
	apply(t, serviceManifest)
	settle()
	from := pods[:2*len(cluster.Nodes)]

	t.Run("address", func(t *testing.T) { try(t, toHost(from, clusterIP(t, "web"), 8000)) })
	t.Run("name", func(t *testing.T) {
		try(t, append(toHost(from, "web", 8000), toHost(from, "web.e2e-service.svc.cluster.local", 8000)...))
	})
	t.Run("headless name", func(t *testing.T) { try(t, toHost(from, "headless", 80)) })
	t.Run("node port", func(t *testing.T) { nodePort(t, from) })
	t.Run("node port, local backends only", func(t *testing.T) { localNodePort(t, from) })
	t.Run("host port", func(t *testing.T) { tryHostPort(t, from) })
}

// toHost asks one address or name from all of the pods, over TCP and UDP.
func toHost(from []*lab.Pod, host string, port int) []lab.Probe {
	var probes []lab.Probe
	for _, pod := range from {
		for _, protocol := range []string{lab.TCP, lab.UDP} {
			probes = append(probes, lab.Probe{From: pod, Protocol: protocol, Host: host, Port: port, Want: lab.Answer})
		}
	}
	return probes
}

func clusterIP(t *testing.T, service string) string {
	return kubectl(t, "get", "service", "-n", prefix+"service", service, "-o", "jsonpath={.spec.clusterIP}")
}

// nodePorts gives the ports of a Service for TCP and for UDP.
func nodePorts(t *testing.T, namespace, service string) map[string]int {
	t.Helper()
	out := kubectl(t, "get", "service", "-n", namespace, service,
		"-o", "jsonpath={range .spec.ports[*]}{.protocol} {.nodePort}\n{end}")
	ports := map[string]int{}
	for line := range strings.Lines(out) {
		protocol, number, _ := strings.Cut(strings.TrimSpace(line), " ")
		port, err := strconv.Atoi(number)
		if err != nil {
			t.Fatal(err)
		}
		ports[protocol] = port
	}
	return ports
}

// toNodes asks the node ports of a Service on some nodes.
func toNodes(from []*lab.Pod, ports map[string]int, nodes ...int) []lab.Probe {
	var probes []lab.Probe
	for _, pod := range from {
		for _, node := range nodes {
			for protocol, port := range ports {
				probes = append(probes, lab.Probe{
					From: pod, Protocol: protocol, Host: cluster.Nodes[node].Addr.String(), Port: port, Want: lab.Answer,
				})
			}
		}
	}
	return probes
}

func nodePort(t *testing.T, from []*lab.Pod) {
	ports := nodePorts(t, prefix+"service", "anywhere")
	try(t, toNodes(from, ports, lab.Worker, lab.Worker2, lab.ControlPlane))
	host := newHost(t, "client", 1)
	for node := range cluster.Nodes {
		if _, _, err := askNode(t, host, node, ports[lab.TCP]); err != nil {
			t.Error(err)
		}
	}
}

// localNodePort keeps the client's address, and only nodes with a backend
// answer.
func localNodePort(t *testing.T, from []*lab.Pod) {
	ports := nodePorts(t, prefix+"service", "local")
	try(t, toNodes(from, ports, lab.Worker, lab.Worker2))
	host := newHost(t, "client", 1)
	for _, node := range []int{lab.Worker, lab.Worker2} {
		name, client, err := askNode(t, host, node, ports[lab.TCP])
		if want := "web-" + strconv.Itoa(node); err != nil || name != want || client != host.Addr {
			t.Errorf("node %d: got %s, %s, %v; want %s, %s", node, name, client, err, want, host.Addr)
		}
	}
	if name, _, err := askNode(t, host, lab.ControlPlane, ports[lab.TCP]); err == nil {
		t.Errorf("a node without a backend: got an answer of %s", name)
	}
}

func tryHostPort(t *testing.T, from []*lab.Pod) {
	addr := cluster.Nodes[lab.Worker].Addr
	probes := toHost(from, addr.String(), hostPort)
	for i := range probes {
		probes[i].Server = "hostport"
	}
	try(t, probes)
	name, client, err := askNode(t, newHost(t, "client", 1), lab.Worker, hostPort)
	if err != nil || name != "hostport" {
		t.Errorf("from outside: got %s, %s, %v", name, client, err)
	}
}

// newHost makes a host outside of the cluster for the time of a test.
func newHost(t *testing.T, name string, number int) *outside.Host {
	t.Helper()
	host, err := outside.New(t.Context(), name, number)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := host.Close(); err != nil {
			t.Error(err)
		}
	})
	return host
}

// askNode asks a port of a node from outside.
func askNode(t *testing.T, host *outside.Host, node, port int) (name string, client netip.Addr, err error) {
	return host.Ask(t.Context(), netip.AddrPortFrom(cluster.Nodes[node].Addr, uint16(port)), 4*time.Second)
}
