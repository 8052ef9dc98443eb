//go:build e2e

// Package e2e tests Signet on a running kind cluster: make e2e.
package e2e

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/signet-cni/signet/tests/e2e/lab"
)

// cluster is the one under test.
var cluster *lab.Cluster

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	var err error
	if cluster, err = lab.Open(ctx); err == nil {
		err = clear(ctx)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		return 1
	}
	return m.Run()
}

// prefix marks the namespaces that belong to these tests.
const prefix = "e2e-"

// clear removes what an earlier run left: its namespaces, if it was interrupted,
// and what the agents told of them.
func clear(ctx context.Context) error {
	if _, err := cluster.Run(ctx, "", "delete", "events", "-A", "--field-selector", "reason=NotUsed"); err != nil {
		return err
	}
	out, err := cluster.Run(ctx, "", "get", "namespaces", "-o", "name")
	if err != nil {
		return err
	}
	var left []string
	for _, name := range strings.Fields(out) {
		if strings.HasPrefix(name, "namespace/"+prefix) {
			left = append(left, name)
		}
	}
	if len(left) == 0 {
		return nil
	}
	_, err = cluster.Run(ctx, "", append([]string{"delete", "--wait=true"}, left...)...)
	return err
}

// create makes namespaces and pods for the time of a test.
func create(t *testing.T, namespaces []lab.Namespace, pods ...*lab.Pod) {
	t.Helper()
	t.Cleanup(func() {
		if err := cluster.Delete(context.Background(), namespaces); err != nil {
			t.Error(err)
		}
	})
	if err := cluster.Create(t.Context(), namespaces, pods); err != nil {
		t.Fatal(err)
	}
}

// alone is a namespace without labels.
func alone(name string) []lab.Namespace { return []lab.Namespace{{Name: prefix + name}} }

// server is a pod that answers on port 80.
func server(namespace, name string, node int) *lab.Pod {
	return &lab.Pod{
		Namespace: prefix + namespace, Name: name, Node: node,
		Labels: map[string]string{"app": name}, Ports: []int{80},
	}
}

// clients are pods on every node, and pods that share the node's network.
func clients(namespace string) []*lab.Pod {
	var pods []*lab.Pod
	for i := range cluster.Nodes {
		for kind, host := range map[string]bool{"pod": false, "host": true} {
			pods = append(pods, &lab.Pod{
				Namespace: prefix + namespace, Name: fmt.Sprintf("%s-%d", kind, i), Node: i, HostNetwork: host,
				Labels: map[string]string{"client": kind}, Command: []string{"/agnhost", "pause"},
			})
		}
	}
	return pods
}

// apply creates or changes objects.
func apply(t *testing.T, manifest string) {
	t.Helper()
	if err := cluster.Apply(t.Context(), manifest); err != nil {
		t.Fatal(err)
	}
}

// kubectl runs it and gives its output.
func kubectl(t *testing.T, args ...string) string {
	t.Helper()
	out, err := cluster.Run(t.Context(), "", args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// try makes probes, fails the test for each that is not what it has to be, and
// says how many there were.
func try(t *testing.T, probes []lab.Probe) {
	t.Helper()
	wrong := 0
	for _, r := range cluster.Try(t.Context(), probes) {
		if !r.OK() {
			wrong++
			t.Error(r)
		}
	}
	t.Logf("%d of %d probes as they have to be", len(probes)-wrong, len(probes))
}

// ask is a probe of a pod's address.
func ask(from, to *lab.Pod, port int, protocol string, want lab.Outcome) lab.Probe {
	return lab.Probe{
		From: from, Protocol: protocol, Host: to.Addr.String(), Port: port, Want: want, Server: to.Name, Client: from.Addr,
	}
}

// settle gives a change the time that it may take to be in force everywhere.
func settle() { time.Sleep(2 * time.Second) }
