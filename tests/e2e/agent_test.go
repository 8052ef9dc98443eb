//go:build e2e

package e2e

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/signet-cni/signet/tests/e2e/lab"
)

// TestAgent kills and replaces the agents under traffic.
func TestAgent(t *testing.T) {
	db, client, denied := server("agent", "db", lab.Worker), server("agent", "client", lab.Worker2), server("agent", "denied", lab.Worker2)
	create(t, alone("agent"), db, client, denied)
	apply(t, agentPolicy)
	settle()
	t.Run("killed", func(t *testing.T) {
		interrupt(t, 2*time.Second, 0, killAgents, client, denied, db)
	})
	t.Run("replaced", func(t *testing.T) {
		interrupt(t, 2*time.Second, 0, func(t *testing.T) {
			kubectl(t, "rollout", "restart", "daemonset", "signet", "-n", lab.SignetNamespace)
			kubectl(t, "rollout", "status", "daemonset", "signet", "-n", lab.SignetNamespace, "--timeout=3m")
		}, client, denied, db)
	})
}

const agentPolicy = `
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: db, namespace: e2e-agent}
spec:
  podSelector: {matchLabels: {app: db}}
  ingress:
  - from:
    - podSelector: {matchLabels: {app: client}}
`

// interrupt does something to the agents while one pod talks to the server and
// another one may not. The live connection outlasts it, no gap is longer and
// no more of a UDP stream is lost than given, and the server stays closed to
// the other.
func interrupt(t *testing.T, most time.Duration, loss float64, event func(*testing.T), client, denied, db *lab.Pod) {
	c := talk(t, client, db)
	intruder, stream := watch(t, lab.New, denied, db), watch(t, lab.Stream, client, db)
	time.Sleep(2 * time.Second)
	event(t)
	after := time.Now()
	for kind, w := range map[string]*lab.Watch{
		"new flows": c.fresh, "the live connection": c.live, "the UDP stream": stream,
	} {
		if _, err := w.Await(true, after, most); err != nil {
			t.Errorf("%s: %v", kind, err)
		}
		gap, n := w.Gap(), len(w.Attempts())
		t.Logf("%s: %d questions, the longest time between answers was %d ms", kind, n, gap.Milliseconds())
		if gap > most {
			t.Errorf("%s: no answer for %s", kind, gap)
		}
	}
	stream.Stop()
	lost, sent := stream.Lost()
	t.Logf("the UDP stream lost %d of %d datagrams", lost, sent)
	if sent == 0 || float64(lost) > loss*float64(sent) {
		t.Errorf("more than %.0f %% lost", 100*loss)
	}
	attempts := intruder.Attempts()
	for _, a := range attempts {
		if a.Answered {
			t.Fatalf("the server answered a pod that may not ask, at %s", a.At)
		}
	}
	t.Logf("the other pod asked %d times, without an answer", len(attempts))
}

// findAgent prints the number of the agent's process on a node.
const findAgent = `for d in /proc/[0-9]*; do
	if [ "$(cat "$d/comm" 2>/dev/null)" = signet-agent ]; then echo "${d#/proc/}"; fi
done`

// killAgents kills those of all nodes, and waits until the kubelets have
// started them again and they are ready.
func killAgents(t *testing.T) {
	before := restarts(t)
	for node, n := range cluster.Nodes {
		out, err := cluster.OnNode(t.Context(), node, "sh", "-c", findAgent)
		pids := strings.Fields(out)
		if err != nil || len(pids) != 1 {
			t.Fatalf("agents on %s: %q, %v", n.Name, out, err)
		}
		if _, err := cluster.OnNode(t.Context(), node, "kill", "-9", pids[0]); err != nil {
			t.Fatal(err)
		}
	}
	for deadline := time.Now().Add(2 * time.Minute); restarts(t) < before+len(cluster.Nodes); {
		if time.Now().After(deadline) {
			t.Fatal("the kubelets do not start the agents again")
		}
		time.Sleep(500 * time.Millisecond)
	}
	kubectl(t, "wait", "pod", "-n", lab.SignetNamespace, "-l", "app.kubernetes.io/name=signet",
		"--for=condition=Ready", "--timeout=2m")
}

// restarts counts how often the kubelets started agents again.
func restarts(t *testing.T) int {
	t.Helper()
	out := kubectl(t, "get", "pods", "-n", lab.SignetNamespace, "-l", "app.kubernetes.io/name=signet",
		"-o", `jsonpath={.items[*].status.containerStatuses[?(@.name=="agent")].restartCount}`)
	sum := 0
	for _, word := range strings.Fields(out) {
		n, err := strconv.Atoi(word)
		if err != nil {
			t.Fatal(err)
		}
		sum += n
	}
	return sum
}
