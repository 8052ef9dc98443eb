//go:build e2e

package e2e

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/signet-cni/signet/tests/e2e/lab"
	"github.com/signet-cni/signet/tests/e2e/story"
)

// TestWorld reaches a host outside of the cluster, which sees the node, and
// stops reaching it when a policy says so.
func TestWorld(t *testing.T) {
	host := newHost(t, "world", 1)
	if err := host.Serve(8888); err != nil {
		t.Fatal(err)
	}
	pods := clients("world")
	create(t, alone("world"), pods...)

	probes := toHost(pods, host.Addr.String(), 8888)
	for i, p := range probes {
		probes[i].Server, probes[i].Client = "world", cluster.Nodes[p.From.Node].Addr
	}
	t.Run("open", func(t *testing.T) { try(t, probes) })
	t.Run("ping", func(t *testing.T) {
		for _, p := range pods {
			if out, err := cluster.Exec(t.Context(), p.Namespace, p.Name, "", "ping", "-c2", "-W5", host.Addr.String()); err != nil {
				t.Errorf("%s: %v\n%s", p.Key(), err, out)
			}
		}
	})
	t.Run("denied by except", func(t *testing.T) {
		apply(t, fmt.Sprintf(exceptManifest, host.Addr))
		settle()
		for i := range probes {
			if !probes[i].From.HostNetwork {
				probes[i].Want = lab.Silence
			}
		}
		try(t, probes)
	})
}

const exceptManifest = `
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: except, namespace: e2e-world}
spec:
  podSelector: {}
  policyTypes: [Egress]
  egress:
  - to:
    - ipBlock: {cidr: 0.0.0.0/0, except: [%s/32]}
`

// TestAPIServer asks it for its version, from pods on every node, by name and
// with its certificate checked.
func TestAPIServer(t *testing.T) {
	pods := clients("api")
	create(t, alone("api"), pods...)
	ca := kubectl(t, "get", "configmap", "-n", prefix+"api", "kube-root-ca.crt", "-o", `jsonpath={.data.ca\.crt}`)
	for _, p := range pods {
		out, err := cluster.Exec(t.Context(), p.Namespace, p.Name, ca, "curl", "--silent", "--show-error", "--max-time", "15",
			"--cacert", "/dev/stdin", "https://kubernetes.default.svc/version")
		if err != nil || !strings.Contains(out, "gitVersion") {
			t.Errorf("%s: %v: %s", p.Key(), err, out)
		}
	}
}

const databaseService = `
apiVersion: v1
kind: Service
metadata: {name: door, namespace: e2e-prod}
spec:
  type: NodePort
  externalTrafficPolicy: Local
  selector: {role: db}
  ports:
  - {port: 3306, protocol: TCP}
`

// TestDatabase tells the story of the database, whose admin and whose backup
// server are outside of the cluster.
func TestDatabase(t *testing.T) {
	admin, stranger, backup := newHost(t, "admin", 1), newHost(t, "stranger", 2), newHost(t, "backup", 3)
	for _, port := range []int{873, 874} {
		if err := backup.Serve(port); err != nil {
			t.Fatal(err)
		}
	}
	if err := stranger.Serve(873); err != nil {
		t.Fatal(err)
	}
	s := story.Database(prefix, admin.Addr, backup.Addr)
	create(t, s.Namespaces, s.Pods...)
	apply(t, databaseService)
	t.Run("pods", func(t *testing.T) { tell(t, s, s.Steps[0]) })
	t.Run("in from outside", func(t *testing.T) {
		door := netip.AddrPortFrom(cluster.Nodes[lab.Worker].Addr, uint16(nodePorts(t, prefix+"prod", "door")[lab.TCP]))
		name, client, err := admin.Ask(t.Context(), door, 15*time.Second)
		if err != nil || name != "db" || client != admin.Addr {
			t.Errorf("the admin got %s, %s, %v", name, client, err)
		}
		if name, _, err := stranger.Ask(t.Context(), door, 4*time.Second); err == nil {
			t.Errorf("a stranger got an answer of %s", name)
		}
	})
	t.Run("out", func(t *testing.T) {
		db, node := s.Pod("db"), cluster.Nodes[lab.Worker].Addr
		try(t, []lab.Probe{
			{From: db, Protocol: lab.TCP, Host: backup.Addr.String(), Port: 873, Want: lab.Answer, Server: "backup", Client: node},
			{From: db, Protocol: lab.TCP, Host: backup.Addr.String(), Port: 874, Want: lab.Silence},
			{From: db, Protocol: lab.UDP, Host: backup.Addr.String(), Port: 873, Want: lab.Silence},
			{From: db, Protocol: lab.TCP, Host: stranger.Addr.String(), Port: 873, Want: lab.Silence},
		})
	})
}
