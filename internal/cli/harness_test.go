package cli_test

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/signet-cni/signet/identity"
	"github.com/signet-cni/signet/internal/api"
	"github.com/signet-cni/signet/internal/cli"
	"github.com/signet-cni/signet/internal/kube/agents"
	"github.com/signet-cni/signet/internal/kube/trial"
	"github.com/signet-cni/signet/internal/unixsocket"
)

var update = flag.Bool("update", false, "write the golden files anew")

var now = time.Date(2026, 11, 21, 10, 0, 0, 0, time.UTC)

// golden compares with testdata/name.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", name, diff)
	}
}

// node is a Source with fixed answers.
type node struct {
	status     api.Status
	endpoints  []api.Endpoint
	identities []api.Identity
	flows      *api.FlowLog
	why        api.Why
	policies   []api.PolicyStatus
	services   []api.Service
	asked      api.WhyQuery
	encryption api.Encryption
	rotates    func(*node) // what Rotate does to encryption; nil: it refuses
}

func (n *node) Status() api.Status           { return n.status }
func (n *node) Endpoints() []api.Endpoint    { return n.endpoints }
func (n *node) Identities() []api.Identity   { return n.identities }
func (n *node) Policies() []api.PolicyStatus { return n.policies }
func (n *node) Services() []api.Service      { return n.services }

func (n *node) Why(q api.WhyQuery) (api.Why, error) {
	if n.why.Node == "" {
		return api.Why{}, errors.New("no policy is loaded yet")
	}
	n.asked = q
	return n.why, nil
}

func (n *node) Encryption() api.Encryption { return n.encryption }

func (n *node) Rotate() error {
	if n.rotates == nil {
		return errors.New("this node is changing its keys already")
	}
	n.rotates(n)
	return nil
}

func (n *node) Flows() *api.FlowLog { return n.flows }

// serve serves n until the test ends and gives the path of the socket.
func serve(t *testing.T, n *node) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "agent.sock")
	log := slog.New(slog.DiscardHandler)
	l, err := unixsocket.Listen(path, log)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- api.NewServer(n, log).Serve(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	return path
}

// cluster has nodes whose agents run the command itself, as the real ones do.
type cluster struct {
	nodes   map[string]string // name -> socket
	missing []agents.Agent
	err     error

	mu       sync.Mutex
	commands []string
}

func (c *cluster) Agents(context.Context) ([]agents.Agent, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	found := slices.Clone(c.missing)
	for name := range c.nodes {
		found = append(found, agents.Agent{Node: name, Pod: "signet-" + name})
	}
	slices.SortFunc(found, func(a, b agents.Agent) int { return strings.Compare(a.Node, b.Node) })
	return found, c.err
}

// serveAt makes a node's agent answer at another socket.
func (c *cluster) serveAt(node, socket string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.nodes[node] = socket
}

func (c *cluster) RunAt(context.Context, agents.Agent, []string, io.Reader, io.Writer) error {
	return errors.New("no cluster")
}

func (c *cluster) RunIn(context.Context, string, string, []string, []byte, io.Writer) error {
	return errors.New("no cluster")
}

func (c *cluster) Names(_ context.Context, path string) ([]string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.commands = append(c.commands, path)
	return map[string][]string{
		"/api/v1/namespaces":                      {"concert", "hall"},
		"/api/v1/nodes":                           {"worker-2", "worker-1"},
		"/api/v1/pods":                            {"concert/vip", "concert/backend", "hall/door"},
		"/api/v1/namespaces/concert/pods":         {"concert/vip", "concert/backend"},
		"/api/v1/namespaces/concert/services":     {"concert/vip"},
		"/apis/signet-cni.io/v1alpha1/identities": {"1001"},
	}[path], nil
}

func (c *cluster) Raw(_ context.Context, path string) ([]byte, error) {
	if strings.HasSuffix(path, "/leases/signet-collector") {
		return nil, errors.New("leases are forbidden")
	}
	return fmt.Appendf(nil, `{"kind":"List","path":%q,"env":[{"name":"A","value":"gone"}]}`, path), nil
}

func (c *cluster) LogSources(context.Context) ([]agents.LogSource, error) {
	return []agents.LogSource{{Node: "worker-1", Pod: "signet-a", Container: "agent"}, {Node: "elsewhere", Pod: "x", Container: "agent"}}, nil
}

func (c *cluster) Log(_ context.Context, source agents.LogSource, w io.Writer) error {
	_, err := fmt.Fprintln(w, "log of", source.Pod)
	return err
}

func (c *cluster) Trial(trial.Config) (*trial.Trial, error) {
	return nil, errors.New("no cluster")
}

func (c *cluster) Name() string { return "kind-test" }

// Owners knows that a Deployment made vip.
func (c *cluster) Owners(context.Context) (map[string]agents.Owner, error) {
	return map[string]agents.Owner{"concert/vip": {Kind: "Deployment", Name: "vip"}}, c.err
}

func (c *cluster) Exec(ctx context.Context, agent agents.Agent, command []string, stdout io.Writer) error {
	c.mu.Lock()
	c.commands = append(c.commands, strings.Join(command, " "))
	socket := c.nodes[agent.Node]
	c.mu.Unlock()
	input, release := io.Pipe()
	stop := context.AfterFunc(ctx, func() { _ = release.Close() }) // a session that is cut
	defer stop()
	var stderr bytes.Buffer
	code := cli.Run(context.WithoutCancel(ctx), append(command[1:], "--socket", socket), cli.Env{
		Stdin: input, Stdout: stdout, Stderr: &stderr, Now: func() time.Time { return now },
	})
	if code != 0 {
		return &agents.ExitError{Code: code, Stderr: strings.TrimSpace(stderr.String())}
	}
	return ctx.Err()
}

// result is what a run of the command gave.
type result struct {
	code           int
	stdout, stderr string
}

// run runs a command line towards a cluster, which may be nil.
func run(t *testing.T, c *cluster, args ...string) result {
	t.Helper()
	var stdout, stderr bytes.Buffer
	code := cli.Run(t.Context(), args, environment(c, &stdout, &stderr))
	return result{code: code, stdout: stdout.String(), stderr: stderr.String()}
}

func environment(c *cluster, stdout, stderr io.Writer) cli.Env {
	return cli.Env{
		Version: "v0.1.0", Stdin: strings.NewReader(""), Stdout: stdout, Stderr: stderr,
		Now: func() time.Time { return now },
		Connect: func(agents.Config) (cli.Cluster, error) {
			if c == nil {
				return nil, errors.New("no kubeconfig")
			}
			return c, nil
		},
	}
}

// flowRows are flows as the two nodes of concert tell them.
func flowRows(log *api.FlowLog, flows ...api.Flow) {
	for _, f := range flows {
		log.Append(f)
	}
}

// concert is two workers: the receiver vip on worker-1, security and backend
// on worker-2, and what happened between them.
func concert(t *testing.T) *cluster {
	t.Helper()
	one, two := workerOne(), workerTwo()
	admitted := flow(2, "worker-1", "from_overlay", api.Admitted, "", security(false), vip(true))
	admitted.Policies = []api.PolicyPart{{Namespace: "concert", Name: "vip", Direction: api.Ingress, Rules: []int{0}}}
	dropped := flow(4, "worker-1", "from_overlay", api.Dropped, "policy-ingress", backend(false), vip(true))
	dropped.Policies = []api.PolicyPart{{Namespace: "concert", Name: "vip", Direction: api.Ingress}}
	flowRows(one.flows, admitted, dropped)
	world := flow(5, "worker-2", "from_pod", api.Admitted, "", security(true), api.End{
		Addr: netip.MustParseAddr("192.0.2.7"), Port: 443, Identity: identity.World, IdentityName: "world",
	})
	dns := flow(0, "worker-2", "from_pod", api.Forwarded, "", security(true), api.End{Addr: netip.MustParseAddr("10.244.9.9"), Port: 53})
	dns.Protocol, dns.TCPFlags, dns.Service = "UDP", "", netip.MustParseAddrPort("10.96.0.10:53")
	dns.ServiceName = "kube-system/kube-dns"
	flowRows(two.flows, dns,
		flow(1, "worker-2", "from_pod", api.Forwarded, "", security(true), unknownVIP()),
		flow(3, "worker-2", "from_pod", api.Forwarded, "", backend(true), unknownVIP()), world)
	return &cluster{nodes: map[string]string{"worker-1": serve(t, one), "worker-2": serve(t, two)}}
}

func flow(at int, node, hook, verdict, reason string, src, dst api.End) api.Flow {
	f := api.Flow{
		Time: now.Add(time.Duration(at-60) * time.Second), Node: node, Hook: hook, Verdict: verdict, Reason: reason,
		Revision: 7, Protocol: "TCP", Src: src, Dst: dst, TCPFlags: "SYN", Bytes: 60,
	}
	f.Direction = api.Ingress
	if hook == "from_pod" {
		f.Direction = api.Egress
	}
	if reason != "" {
		f.ReasonText = "the receiver's policies do not admit it"
	}
	return f
}

func end(named bool, addr, pod, role string, port uint16, id identity.ID) api.End {
	e := api.End{
		Addr: netip.MustParseAddr(addr), Port: port, Identity: id, Namespace: "concert",
		Labels: map[string]string{"role": role},
	}
	if named {
		e.Pod = pod
	}
	return e
}

func vip(named bool) api.End { return end(named, "10.244.1.2", "vip", "vip", 80, 1001) }
func security(named bool) api.End {
	return end(named, "10.244.2.2", "security", "security", 40001, 1002)
}

func backend(named bool) api.End { return end(named, "10.244.2.3", "backend", "backend", 40002, 1003) }

// unknownVIP is how the sending node sees vip.
func unknownVIP() api.End {
	return api.End{Addr: netip.MustParseAddr("10.244.1.2"), Port: 80, IdentityName: "unknown"}
}

func endpoint(node, pod, addr, ifName string, id identity.ID) api.Endpoint {
	return api.Endpoint{
		Node: node, Namespace: "concert", Pod: pod, ContainerID: strings.Repeat("ab", 32),
		Addr: netip.MustParseAddr(addr), IfName: ifName, IfIndex: 7, Identity: id, Labels: map[string]string{"role": pod},
	}
}

func identities(local ...int) (list []api.Identity) {
	for n, role := range []string{"vip", "security", "backend"} {
		list = append(list, api.Identity{
			ID: identity.ID(1001 + n), Namespace: "concert", Local: local[n],
			NamespaceLabels: map[string]string{"kubernetes.io/metadata.name": "concert"},
			PodLabels:       map[string]string{"role": role},
		})
	}
	return list
}

func workerOne() *node {
	return &node{
		flows: api.NewFlowLog(100), identities: identities(1, 0, 0),
		endpoints: []api.Endpoint{endpoint("worker-1", "vip", "10.244.1.2", "sig01", 1001)},
		status: api.Status{
			Node: "worker-1", Version: "v0.1.0", Kernel: "6.12.9", Ready: true, Endpoints: 1,
			Device: api.Device{
				Name: "signet0", Kind: api.KernelDevice, PublicKey: "b25lb25lb25l", ListenPort: 51872, MTU: 1420, PodMTU: 1400,
				Peers: []api.Peer{{
					Node: "worker-2", PublicKey: "dHdvdHdvdHdv", Endpoint: netip.MustParseAddrPort("172.18.0.3:51872"),
					Prefix: netip.MustParsePrefix("fd00:1:af4:200::/64"), LastHandshake: now.Add(-75 * time.Second), Rx: 123456, Tx: 999,
				}, {PublicKey: "bm9ib2R5"}},
			},
			Policy: api.Policy{Revision: 7, Identities: 3, Policies: 1, RuleSets: 2, Rows: 2},
			Watches: []api.Watch{
				{Kind: "pods", Synced: true, Objects: 1}, {Kind: "networkpolicies", Synced: true, Objects: 1, Error: "timeout"}, {Kind: "tunnels"},
			},
			Drops: map[string]api.Drop{
				"policy-ingress": {Packets: 4, Bytes: 240, Text: "the receiver's policies do not admit it"},
				"malformed":      {Packets: 1, Bytes: 20, Text: "headers truncated or inconsistent"},
				"no-peer":        {},
			},
			EventLoss:  api.EventLoss{Suppressed: 12, Lost: 3},
			Subsystems: []api.Subsystem{{Name: "tunnel", State: api.Works}, {Name: "policy", State: api.Works}},
			Audit:      api.AuditMode{Namespaces: []string{"hall"}},
			Maps:       []api.MapUsage{{Name: "flows", Entries: 250000, Max: 262144}, {Name: "endpoints", Entries: 1, Max: 1024}},
		},
	}
}

func workerTwo() *node {
	shaped := endpoint("worker-2", "backend", "10.244.2.3", "sig02", 1003)
	shaped.Shaped = true
	return &node{
		flows: api.NewFlowLog(100), identities: identities(0, 1, 1),
		endpoints: []api.Endpoint{shaped, endpoint("worker-2", "security", "10.244.2.2", "sig03", 1002)},
		status: api.Status{
			Node: "worker-2", Version: "v0.1.0", Kernel: "6.12.9", Endpoints: 2,
			Device: api.Device{Name: "signet0", Kind: api.UserspaceDevice, Peers: []api.Peer{{Node: "worker-1"}}},
			Policy: api.Policy{Revision: 7, Identities: 3, Policies: 1},
			Subsystems: []api.Subsystem{
				{Name: "tunnel", State: api.Failing, Problem: "no route to the API server's node", Advice: "open UDP port 51872"},
				{Name: "policy", State: api.Waiting},
			},
			Problems: []string{
				"tunnel: no route to the API server's node",
				"the tunnel of node worker-3 has a bad key: look at \"kubectl get tunnel worker-3\"\x1b[31m",
			},
		},
	}
}

// broken adds a node that does not answer and one without an agent.
func (c *cluster) broken() *cluster {
	c.nodes["worker-3"] = filepath.Join("testdata", "no.sock")
	c.missing = []agents.Agent{{Node: "worker-4", Problem: "the node has no agent pod"}}
	return c
}

func (r result) String() string {
	return fmt.Sprintf("exit code %d\n--- stdout\n%s--- stderr\n%s", r.code, r.stdout, r.stderr)
}
