//go:build e2e

package e2e

import (
	"context"
	"os"
	"testing"
	"time"

	"github.com/signet-cni/signet/tests/e2e/lab"
)

// connections are those that have to outlast each fault.
const connections = 100

// TestSurvival makes the agents and the API server fail while 100 connections
// and a stream of datagrams go on, by themselves, and counts what is lost.
func TestSurvival(t *testing.T) {
	db, client := server("survival", "db", lab.Worker), server("survival", "client", lab.Worker2)
	create(t, alone("survival"), db, client)
	settle()
	t.Run("agents killed in a loop", func(t *testing.T) {
		outlasts(t, client, db, 5*time.Minute, func(t *testing.T) {
			for range 3 {
				killAgents(t)
			}
		})
	})
	t.Run("agents rolled out", func(t *testing.T) {
		outlasts(t, client, db, 3*time.Minute, func(t *testing.T) {
			kubectl(t, "rollout", "restart", "daemonset", "signet", "-n", lab.SignetNamespace)
			kubectl(t, "rollout", "status", "daemonset", "signet", "-n", lab.SignetNamespace, "--timeout=150s")
		})
	})
	t.Run("API server away", func(t *testing.T) {
		away := outage(t)
		outlasts(t, client, db, away+4*time.Minute, func(t *testing.T) { withoutAPI(t, away) })
		restartOthers(t)
	})
}

// outage is how long the API server is away: SIGNET_E2E_OUTAGE, or a minute.
func outage(t *testing.T) time.Duration {
	text, set := os.LookupEnv("SIGNET_E2E_OUTAGE")
	if !set {
		return time.Minute
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		t.Fatalf("SIGNET_E2E_OUTAGE: %v", err)
	}
	return d
}

// outlasts counts what a fault costs, which has to be over within a time.
func outlasts(t *testing.T, from, to *lab.Pod, limit time.Duration, fault func(*testing.T)) {
	load, err := cluster.StartLoad(t.Context(), from, to, 80, connections, limit)
	if err != nil {
		t.Fatal(err)
	}
	fault(t)
	settle()
	if over := time.Since(load.Ends()); over > 0 {
		t.Errorf("the fault went on for %s after the load had ended", over.Round(time.Second))
	}
	toll, err := load.Toll(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%s: %s", t.Name(), toll)
	if toll.Unanswered > 0 || toll.Answers < connections {
		t.Errorf("connections broke")
	}
	if toll.Sent == 0 || toll.Lost > 0 { // the kernel, and signet-wg, go on without agents
		t.Errorf("%d of %d datagrams lost", toll.Lost, toll.Sent)
	}
}

// manifest is what the kubelet runs the API server for; away, it is hidden from
// it.
const (
	manifest = "/etc/kubernetes/manifests/kube-apiserver.yaml"
	hidden   = "/etc/kubernetes/kube-apiserver.yaml"
)

// withoutAPI stops the API server, and starts it again when it was away for
// some time. The agents are well then.
func withoutAPI(t *testing.T, away time.Duration) {
	move := func(from, to string) {
		t.Helper()
		if _, err := cluster.OnNode(t.Context(), lab.ControlPlane, "mv", from, to); err != nil {
			t.Fatal(err)
		}
	}
	move(manifest, hidden)
	t.Cleanup(func() { // it is back, usually
		_, _ = cluster.OnNode(context.Background(), lab.ControlPlane, "mv", hidden, manifest)
	})
	awaitAPI(t, false)
	time.Sleep(away)
	move(hidden, manifest)
	awaitAPI(t, true)
	kubectl(t, "wait", "pod", "-n", lab.SignetNamespace, "-l", "app.kubernetes.io/name=signet",
		"--for=condition=Ready", "--timeout=2m")
}

// restartOthers spares what comes next the time for which CoreDNS knows no new
// names, and kube-proxy no new Services: their watches ask an API server that was
// away again after up to a minute.
func restartOthers(t *testing.T) {
	t.Helper()
	for _, other := range []string{"deployment/coredns", "daemonset/kube-proxy"} {
		kubectl(t, "rollout", "restart", other, "-n", "kube-system")
		kubectl(t, "rollout", "status", other, "-n", "kube-system", "--timeout=2m")
	}
}

func awaitAPI(t *testing.T, up bool) {
	t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); ; time.Sleep(time.Second) {
		_, err := cluster.Run(t.Context(), "", "get", "--raw=/readyz", "--request-timeout=2s")
		if (err == nil) == up {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("the API server is not as it has to be, up: %v: %v", up, err)
		}
	}
}
