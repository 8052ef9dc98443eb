//go:build e2e

package e2e

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/signet-cni/signet/tests/e2e/lab"
	"github.com/signet-cni/signet/tests/e2e/wire"
)

const dualManifest = `
apiVersion: v1
kind: Service
metadata: {name: web6, namespace: e2e-dual}
spec:
  ipFamilyPolicy: SingleStack
  ipFamilies: [IPv6]
  selector: {app: web}
  ports:
  - {name: tcp, port: 8000, targetPort: 80, protocol: TCP}
  - {name: udp, port: 8000, targetPort: 80, protocol: UDP}
---
apiVersion: v1
kind: Service
metadata: {name: both, namespace: e2e-dual}
spec:
  ipFamilyPolicy: RequireDualStack
  type: NodePort
  selector: {app: web}
  ports:
  - {name: tcp, port: 80, protocol: TCP}
  - {name: udp, port: 80, protocol: UDP}
`

// TestDualStack does in IPv6 what other tests do in IPv4: pods and hosts of
// every node reach pods, Services by address and by a name that has only an
// IPv6 address, node ports, a host port, and the world, and policies stop them.
func TestDualStack(t *testing.T) {
	pods := clients("dual")
	for i, name := range []string{"web-0", "web-1"} { // on the workers
		web := server("dual", name, i)
		web.Labels, web.NoService = map[string]string{"app": "web"}, true
		pods = append(pods, web)
	}
	forwarded := server("dual", "hostport", lab.Worker)
	forwarded.NoService, forwarded.HostPorts = true, map[int]int{80: hostPort6}
	pods = append(pods, forwarded)
	create(t, alone("dual"), pods...)
	apply(t, dualManifest)
	settle()
	clients := 2 * len(cluster.Nodes)
	from, webs := pods[:clients], pods[clients:clients+2]
	for _, p := range pods {
		if !p.Addr6.IsValid() {
			t.Fatalf("pod %s has no IPv6 address", p.Key())
		}
	}
	t.Run("pods", func(t *testing.T) { podsOverIPv6(t, from, webs) })
	t.Run("ClusterIPs", func(t *testing.T) {
		ips := strings.Fields(kubectl(t, "get", "service", "-n", "e2e-dual", "both", "-o", "jsonpath={.spec.clusterIPs[0]} {.spec.clusterIPs[1]}"))
		for _, ip := range ips {
			try(t, toHost(from, literal(netip.MustParseAddr(ip)), 80))
		}
	})
	t.Run("name", func(t *testing.T) { try(t, toHost(from, "web6.e2e-dual.svc.cluster.local", 8000)) })
	t.Run("node ports", func(t *testing.T) { nodePortsOverIPv6(t, from) })
	t.Run("host port", func(t *testing.T) { hostPortOverIPv6(t, from) })
	t.Run("world", func(t *testing.T) { worldOverIPv6(t, from) })
	t.Run("policy", func(t *testing.T) { policyOverIPv6(t, from, webs) })
}

// literal is an address as URLs have it.
func literal(a netip.Addr) string {
	if a.Is4() {
		return a.String()
	}
	return "[" + a.String() + "]"
}

// ask6 is ask in IPv6.
func ask6(from, to *lab.Pod, protocol string, want lab.Outcome) lab.Probe {
	return lab.Probe{
		From: from, Protocol: protocol, Host: literal(to.Addr6), Port: 80, Want: want, Server: to.Name, Client: from.Addr6,
	}
}

// podsOverIPv6 also looks at the wire: no IPv6 of pods is on it.
func podsOverIPv6(t *testing.T, from, webs []*lab.Pod) {
	link, err := wire.Link(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	inside := []netip.Prefix{netip.MustParsePrefix("fd10:244::/56"), netip.MustParsePrefix("fd10:96::/112")}
	capture, err := wire.Start(link, wire.Rules{Port: wireGuardPort, Inside: inside})
	if err != nil {
		t.Fatal(err)
	}
	var probes []lab.Probe
	for _, f := range from {
		for _, to := range webs {
			for _, protocol := range []string{lab.TCP, lab.UDP} {
				probes = append(probes, ask6(f, to, protocol, lab.Answer))
			}
		}
	}
	try(t, probes)
	counts, err := capture.Stop()
	if err != nil {
		t.Fatal(err)
	}
	if clear := counts[wire.PodsClear]; clear.Frames > 0 || counts[wire.WireGuard].Frames == 0 {
		t.Errorf("%d frames with a pod's IPv6 address in the clear, %d of WireGuard", clear.Frames, counts[wire.WireGuard].Frames)
	}
}

// wireGuardPort is that of deploy/signet.yaml.
const wireGuardPort = 51872

func nodePortsOverIPv6(t *testing.T, from []*lab.Pod) {
	ports := nodePorts(t, "e2e-dual", "both")
	var probes []lab.Probe
	for _, pod := range from {
		for _, node := range cluster.Nodes {
			for protocol, port := range ports {
				probes = append(probes, lab.Probe{From: pod, Protocol: protocol, Host: literal(node.Addr6), Port: port, Want: lab.Answer})
			}
		}
	}
	try(t, probes)
	host := newHost(t, "client", 1)
	for _, node := range cluster.Nodes {
		if _, _, err := host.Ask(t.Context(), netip.AddrPortFrom(node.Addr6, uint16(ports[lab.TCP])), 4*time.Second); err != nil {
			t.Errorf("from outside to %s: %v", node.Addr6, err)
		}
	}
}

// hostPort6 is another than hostPort: the pod that has that may still be there.
const hostPort6 = 18081

// hostPortOverIPv6 asks the port of a node that the portmap plugin forwards.
func hostPortOverIPv6(t *testing.T, from []*lab.Pod) {
	addr := cluster.Nodes[lab.Worker].Addr6
	probes := toHost(from, literal(addr), hostPort6)
	for i := range probes {
		probes[i].Server = "hostport"
	}
	try(t, probes)
	name, _, err := newHost(t, "client", 1).Ask(t.Context(), netip.AddrPortFrom(addr, hostPort6), 4*time.Second)
	if err != nil || name != "hostport" {
		t.Errorf("from outside: got %s, %v", name, err)
	}
}

// worldOverIPv6 asks a host outside, which sees the node.
func worldOverIPv6(t *testing.T, from []*lab.Pod) {
	host := newHost(t, "world", 1)
	if err := host.Serve(8888); err != nil {
		t.Fatal(err)
	}
	probes := toHost(from, literal(host.Addr6), 8888)
	for i, p := range probes {
		probes[i].Server, probes[i].Client = "world", cluster.Nodes[p.From.Node].Addr6
	}
	try(t, probes)
}

const dualPolicy = `
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: web, namespace: e2e-dual}
spec:
  podSelector: {matchLabels: {app: web}}
  policyTypes: [Ingress]
  ingress:
  - from: [{ipBlock: {cidr: %s/128}}]
`

// policyOverIPv6 admits one pod, by its IPv6 address.
func policyOverIPv6(t *testing.T, from, webs []*lab.Pod) {
	var admitted *lab.Pod
	for _, p := range from {
		if !p.HostNetwork {
			admitted = p
		}
	}
	apply(t, fmt.Sprintf(dualPolicy, admitted.Addr6))
	settle()
	var probes []lab.Probe
	for _, f := range from {
		if f.HostNetwork {
			continue
		}
		want := lab.Silence
		if f == admitted {
			want = lab.Answer
		}
		for _, to := range webs {
			probes = append(probes, ask6(f, to, lab.TCP, want), ask6(f, to, lab.UDP, want), ask(f, to, 80, lab.TCP, lab.Silence))
		}
	}
	try(t, probes)
}
