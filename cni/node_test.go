package cni_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/signet-cni/signet/cni"
)

func mustPrefix(s string) netip.Prefix { return netip.MustParsePrefix(s) }

func limited() error { return fmt.Errorf("tunnel down: %w", cni.ErrLimited) }

// A /29 has five addresses for pods: not the network, the first, the last.
func TestFullRange(t *testing.T) {
	a := startAgent(t, "198.18.1.0/29")
	var pods []*pod
	for i := range 6 {
		pods = append(pods, newPod(t, a, podName(i)))
	}
	for _, p := range pods[:5] {
		p.add(t)
	}
	want := []string{"198.18.1.2", "198.18.1.3", "198.18.1.4", "198.18.1.5", "198.18.1.6"}
	if got := a.addresses(t); !slices.Equal(got, want) {
		t.Errorf("addresses %v", got)
	}
	pods[5].do("ADD").wantError(t, 11, "node n1", "198.18.1.0/29", "no IP addresses available")
	pods[0].do("DEL").wantOK(t)
	pods[5].add(t)
	for _, p := range pods {
		p.do("DEL").wantOK(t)
	}
	a.wantNothing(t)
}

func TestPodRanges(t *testing.T) {
	a := startAgent(t, "")
	p := newPod(t, a, "ranged")
	p.do("STATUS").wantError(t, 50, "node n1 has no podCIDR", "--allocate-node-cidrs")
	for cidr, words := range map[string]string{"198.18.1.0/31": "no usable address", "fd00::/64": "not IPv4"} {
		a.setNode(func(n *cni.Node) { n.PodCIDR = mustPrefix(cidr) })
		p.do("ADD").wantError(t, 11, cidr, words)
	}
	a.wantNothing(t)

	// The node gets another range while a pod has an address of the first.
	a.setNode(func(n *cni.Node) { n.PodCIDR = mustPrefix("198.18.1.0/30") })
	p.add(t)
	a.setNode(func(n *cni.Node) { n.PodCIDR = mustPrefix("198.18.2.0/30") })
	other := newPod(t, a, "later")
	other.add(t)
	if got := a.addresses(t); !slices.Equal(got, []string{"198.18.1.2", "198.18.2.2"}) {
		t.Errorf("addresses %v", got)
	}
	a.stop()
	a.start(t) // keeps both
	if err := errors.Join(p.podToHost(), other.podToHost()); err != nil || len(a.manager.Endpoints()) != 2 {
		t.Errorf("%v, endpoints %v", err, a.manager.Endpoints())
	}
	p.do("DEL").wantOK(t)
	other.do("DEL").wantOK(t)
	a.wantNothing(t)
}

func TestRestart(t *testing.T) {
	a := startAgent(t, "198.18.1.0/24")
	p, crashed := newPod(t, a, "kept"), newPod(t, a, "crashed")
	_, first := p.add(t)
	crashed.add(t)
	before := a.manager.Endpoints()
	a.stop()
	removeLink(t, key(crashed.id).HostIfName()) // before the kernel does, some time after the namespace's end
	crashed.destroy(t)
	if err := os.RemoveAll(filepath.Join(a.dir, "ipam")); err != nil { // the endpoints' files suffice
		t.Fatal(err)
	}
	a.start(t)
	if got := a.manager.Endpoints(); len(got) != 1 || fmt.Sprint(got[0]) != fmt.Sprint(find(before, "kept")) {
		t.Errorf("endpoints %v, before %v", got, before)
	}
	if _, second := p.add(t); second != first {
		t.Errorf("ADD after the restart answered %s, before %s", second, first)
	}
	// The freed address is the other pod's no more, and kept's is still its own.
	next := newPod(t, a, "next")
	next.add(t)
	if got := len(a.addresses(t)); got != 2 {
		t.Errorf("addresses %v", a.addresses(t))
	}
	p.do("DEL").wantOK(t)
	next.do("DEL").wantOK(t)
	a.wantNothing(t)
}

func find(eps []cni.Endpoint, pod string) cni.Endpoint {
	return eps[slices.IndexFunc(eps, func(ep cni.Endpoint) bool { return ep.Pod == pod })]
}

// What stands in the state directory is not believed: a pod whose file lies
// is cut off, and the agent starts.
func TestHostileState(t *testing.T) {
	replace := func(old, with string) func(string) string {
		return func(s string) string { return strings.Replace(s, old, with, 1) }
	}
	tests := []struct {
		name    string
		corrupt func(string) string
	}{
		{"cut off", func(s string) string { return s[:len(s)/2] }},
		{"empty", func(string) string { return "" }},
		{"version", replace(`"version":1`, `"version":2`)},
		{"other container", replace(`"containerID":"c-`, `"containerID":"d-`)},
		{"path", replace(`"containerID":"c-`, `"containerID":"../`)},
		{"namespace", replace(`"concert"`, `"a/b"`)},
		{"address", replace(`198.18.1.3`, `224.0.0.1`)},
		{"another pod's address", replace(`198.18.1.3`, `198.18.1.2`)},
		{"index", replace(`"hostIfIndex":`, `"hostIfIndex":-`)},
		{"MAC", replace(`"podMAC":"`, `"podMAC":"AAAA`)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a := startAgent(t, "198.18.1.0/24")
			good, bad := newPod(t, a, "good"), newPod(t, a, "bad")
			good.add(t)
			bad.add(t)
			a.stop()
			path := filepath.Join(a.dir, "endpoints", key(bad.id).HostIfName()+".json")
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(tt.corrupt(string(data))), 0o600); err != nil {
				t.Fatal(err)
			}
			a.start(t)
			if eps := a.manager.Endpoints(); len(eps) != 1 || eps[0].Pod != "good" {
				t.Errorf("endpoints %v", eps)
			}
			if got := a.addresses(t); !slices.Equal(got, []string{"198.18.1.2"}) {
				t.Errorf("addresses %v", got)
			}
			if got := hostLinks(t); !slices.Equal(got, []string{key(good.id).HostIfName()}) {
				t.Errorf("interfaces %v", got)
			}
			good.do("DEL").wantOK(t)
		})
	}
}

// Files that no agent wrote, or an agent did not finish, do not stay.
func TestStrayFiles(t *testing.T) {
	a := newAgent(t, "198.18.1.0/24")
	for path, content := range map[string]string{
		"endpoints/.sgn000000000000.json.1.tmp": "{",
		"endpoints/README":                      "",
		"ipam/198.18.1.7":                       "c-dead\r\neth0",
		"ipam/198.18.1.8":                       "../../etc\r\neth0",
		"ipam/198.18.1.9":                       "",
	} {
		path = filepath.Join(a.dir, path)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(content), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	a.start(t)
	a.wantNothing(t)
}

func TestConcurrentAdds(t *testing.T) {
	const pods = 50
	a := startAgent(t, "198.18.1.0/24")
	list := make([]*pod, pods)
	for i := range list {
		list[i] = newPod(t, a, podName(i))
	}
	stop := keepPruning(t, a)
	start := time.Now()
	for _, o := range inParallel(list, "ADD") {
		if o.code != 0 {
			t.Errorf("ADD: %+v", o)
		}
	}
	t.Logf("%d concurrent ADDs took %v", pods, time.Since(start))
	stop()
	seen := map[netip.Addr]bool{}
	for _, ep := range a.manager.Endpoints() {
		seen[ep.Addr] = true
	}
	if len(seen) != pods {
		t.Errorf("%d different addresses for %d pods", len(seen), pods)
	}
	for _, p := range list[:3] {
		if err := p.podToHost(); err != nil {
			t.Error(err)
		}
	}
	for _, o := range inParallel(list, "DEL") {
		o.wantOK(t)
	}
	a.wantNothing(t)
}

// keepPruning removes stale endpoints without a pause: none of those that are
// being attached is one.
func keepPruning(t *testing.T, a *agent) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		for ctx.Err() == nil {
			if err := a.manager.Prune(ctx); err != nil {
				t.Error(err)
			}
		}
	})
	return func() { cancel(); wg.Wait() }
}

func inParallel(pods []*pod, command string) []outcome {
	outcomes := make([]outcome, len(pods))
	var wg sync.WaitGroup
	for i, p := range pods {
		wg.Go(func() { outcomes[i] = p.do(command) })
	}
	wg.Wait()
	return outcomes
}
