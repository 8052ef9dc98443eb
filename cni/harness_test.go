package cni_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/containernetworking/plugins/pkg/netlinksafe"

	"github.com/signet-cni/signet/cni"
	"github.com/signet-cni/signet/cni/internal/wire"
	"github.com/signet-cni/signet/internal/needroot"
)

// recorder is a Network that remembers what is connected. The hooks are called
// without its lock.
type recorder struct {
	mu           sync.Mutex
	connected    map[string]cni.Endpoint // by host interface
	readyErr     error
	onConnect    func(context.Context, cni.Endpoint) error
	onSilence    func(cni.Endpoint) error
	onDisconnect func(cni.Endpoint) error
	checkErr     error
}

func (r *recorder) Ready() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.readyErr
}

func (r *recorder) Connect(ctx context.Context, ep cni.Endpoint) error {
	r.mu.Lock()
	r.connected[ep.HostIfName] = ep // a failing Connect, too, leaves things behind
	r.mu.Unlock()
	if r.onConnect != nil {
		return r.onConnect(ctx, ep)
	}
	return nil
}

func (r *recorder) Silence(_ context.Context, ep cni.Endpoint) error {
	if r.onSilence != nil {
		return r.onSilence(ep)
	}
	return nil
}

func (r *recorder) Disconnect(_ context.Context, ep cni.Endpoint) error {
	if r.onDisconnect != nil {
		if err := r.onDisconnect(ep); err != nil {
			return err
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.connected, ep.HostIfName)
	return nil
}

func (r *recorder) Check(_ context.Context, ep cni.Endpoint) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, ok := r.connected[ep.HostIfName]; !ok && r.checkErr == nil {
		return errors.New("not connected")
	}
	return r.checkErr
}

func (r *recorder) setReady(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.readyErr = err
}

func (r *recorder) names() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Sorted(maps.Keys(r.connected))
}

// agent is the agent's side: a Manager behind a real socket.
type agent struct {
	dir     string
	network *recorder
	manager *cni.Manager
	stop    func()

	mu      sync.Mutex
	node    cni.Node
	changes int
}

// newAgent prepares an agent without starting it.
func newAgent(t *testing.T, cidr string) *agent {
	t.Helper()
	needroot.Skip(t, "it makes network namespaces and interfaces")
	a := &agent{
		dir:     t.TempDir(),
		network: &recorder{connected: map[string]cni.Endpoint{}},
		node:    cni.Node{Name: "n1", Addr: nodeAddr, MTU: 1400},
		stop:    func() {},
	}
	if cidr != "" {
		a.node.PodCIDR = netip.MustParsePrefix(cidr)
	}
	t.Cleanup(func() { a.stop() })
	return a
}

// startAgent returns a running agent.
func startAgent(t *testing.T, cidr string) *agent {
	t.Helper()
	a := newAgent(t, cidr)
	a.start(t)
	return a
}

func (a *agent) socket() string { return filepath.Join(a.dir, "cni.sock") }

func (a *agent) start(t *testing.T) {
	t.Helper()
	log := slog.New(slog.NewTextHandler(testWriter{t}, nil))
	ctx, cancel := context.WithCancel(context.Background())
	m, err := cni.New(ctx, cni.Config{Dir: a.dir, Network: a.network, Node: a.getNode, Changed: a.changed, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	a.manager = m
	l, err := cni.Listen(a.socket(), log)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- cni.NewServer(m, log).Serve(ctx, l) }()
	a.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil && !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("serve: %v", err)
		}
	})
}

func (a *agent) getNode() cni.Node {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.node
}

func (a *agent) setNode(change func(*cni.Node)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	change(&a.node)
}

func (a *agent) changed() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.changes++
}

// addresses returns the reserved addresses.
func (a *agent) addresses(t *testing.T) []string {
	t.Helper()
	files, err := os.ReadDir(filepath.Join(a.dir, "ipam"))
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	var list []string
	for _, f := range files {
		if _, err := netip.ParseAddr(f.Name()); err == nil {
			list = append(list, f.Name())
		}
	}
	return list
}

// remains lists everything that endpoints leave on the node while they exist.
func (a *agent) remains(t *testing.T) []string {
	t.Helper()
	var found []string
	for _, link := range hostLinks(t) {
		found = append(found, "link "+link)
	}
	for _, addr := range a.addresses(t) {
		found = append(found, "address "+addr)
	}
	files, err := os.ReadDir(filepath.Join(a.dir, "endpoints"))
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	for _, f := range files {
		found = append(found, "file "+f.Name())
	}
	for _, name := range a.network.names() {
		found = append(found, "connection "+name)
	}
	for _, ep := range a.manager.Endpoints() {
		found = append(found, "endpoint "+ep.HostIfName)
	}
	return found
}

func (a *agent) wantNothing(t *testing.T) {
	t.Helper()
	if found := a.remains(t); len(found) > 0 {
		t.Errorf("left behind: %s", strings.Join(found, ", "))
	}
}

// hostLinks returns Signet's interfaces in the host's namespace.
func hostLinks(t *testing.T) []string {
	t.Helper()
	links, err := netlinksafe.LinkList()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, l := range links {
		if strings.HasPrefix(l.Attrs().Name, wire.HostIfPrefix) {
			names = append(names, l.Attrs().Name)
		}
	}
	return names
}

type testWriter struct{ t *testing.T }

func (w testWriter) Write(line []byte) (int, error) {
	w.t.Log(strings.TrimSpace(string(line)))
	return len(line), nil
}

func key(container string) wire.Key { return wire.Key{ContainerID: container, IfName: "eth0"} }

func podName(i int) string { return fmt.Sprintf("pod-%d", i) }
