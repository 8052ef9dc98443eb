//go:build e2e

package outage

import (
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/signet-cni/signet/internal/api"
	"github.com/signet-cni/signet/tests/netns/harness"
)

const (
	// expiry is how old a session of WireGuard gets (REJECT_AFTER_TIME).
	expiry = 180 * time.Second
	// comeback is how soon a node has to be found again that was away.
	comeback = 5 * time.Second
	// prompt is how long an answer may take that is to come, and settled how long
	// a datagram that is not to arrive gets.
	prompt  = 5 * time.Second
	settled = time.Second

	echoPort = 7
)

// length is how long the API server is away: $SIGNET_OUTAGE, or 5 minutes.
func length(t *testing.T) time.Duration {
	text, set := os.LookupEnv("SIGNET_OUTAGE")
	if !set {
		return 5 * time.Minute
	}
	d, err := time.ParseDuration(text)
	must(t, err)
	return d
}

// tick is how often the load sends: an emulated machine is slow.
func tick() time.Duration {
	if testing.Short() {
		return 30 * time.Millisecond
	}
	return 10 * time.Millisecond
}

// TestOutage stops the API server under traffic. Nothing is lost, policy stays
// in force for flows that begin meanwhile, a node that was unreachable for two
// thirds of the time is found again without the API server, and once that is
// back the agents are well and follow it.
func TestOutage(t *testing.T) {
	harness.Require(t)
	c := newCluster(t, os.Getenv("SIGNET_OUTAGE_BIN"), 3)
	a, stranger := c.addPod(c.workers[0], "a"), c.addPod(c.workers[0], "stranger")
	b, far := c.addPod(c.workers[1], "b"), c.addPod(c.workers[2], "far")
	b.EchoTCP(8080)
	b.EchoUDP(echoPort)
	far.EchoUDP(echoPort)
	c.admit("b", "a")
	await(t, "the policy", func() bool { return reaches(a, b, prompt) && !reaches(stranger, b, settled) })
	await(t, "a session with "+c.workers[2].Name, func() bool { return reaches(a, far, prompt) })
	c.awaitWell()

	load := harness.StartLoad(t, &a.Host, &b.Host, tick())
	began, whole := time.Now(), length(t)
	c.plane.StopAPI()
	inForce(t, a, b, stranger)
	back := c.workers[2].Away()
	last := lastHandshake(t, c.workers[2])
	time.Sleep(whole * 2 / 3)
	if reaches(a, far, settled) || lastHandshake(t, c.workers[2]).After(last) {
		t.Fatal("the node that is away is reached")
	}
	back()
	found(t, a, far, time.Since(last))
	inForce(t, a, b, stranger)
	time.Sleep(time.Until(began.Add(whole)))
	inForce(t, a, b, stranger)
	t.Logf("the API server was away for %s", time.Since(began).Round(time.Second))
	must(t, c.plane.StartAPI(t.Context()))
	c.awaitWell()
	c.admit("b", "stranger")
	await(t, "a policy of after the outage", func() bool { return reaches(stranger, b, prompt) })
	late := c.addPod(c.workers[2], "late")
	await(t, "a pod of after the outage", func() bool { return reaches(late, far, prompt) && !reaches(late, b, settled) })

	toll, kind := load.End(), encryption(t, c.workers[0]).Kind
	t.Logf("%s device: %s", kind, toll)
	if want, set := os.LookupEnv("SIGNET_WANT_WIREGUARD"); set && kind != want {
		t.Errorf("WireGuard is %s, but SIGNET_WANT_WIREGUARD=%s", kind, want)
	}
	if err := toll.Problem(); err != nil {
		t.Error(err)
	}
}

// reaches says whether a pod's datagram is answered in time.
func reaches(from, to *harness.Pod, limit time.Duration) bool {
	return from.EchoOnce(netip.AddrPortFrom(to.Addr, echoPort), harness.Filler(100), limit) == nil
}

func await(t *testing.T, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !is(); time.Sleep(100 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not after %s", what, patience)
		}
	}
}

// inForce begins flows that the policy admits and denies.
func inForce(t *testing.T, a, b, stranger *harness.Pod) {
	t.Helper()
	if !reaches(a, b, prompt) {
		t.Error("a does not reach b")
	}
	if reaches(stranger, b, settled) {
		t.Error("a stranger reaches b")
	}
}

// found waits until a pod is reached whose node has just come back, after its
// sessions have expired.
func found(t *testing.T, a, far *harness.Pod, age time.Duration) {
	t.Helper()
	began := time.Now()
	if length(t)*2/3 > expiry && age <= expiry {
		t.Errorf("a session of the node that was away is only %s old", age)
	}
	for !reaches(a, far, 100*time.Millisecond) {
		if time.Since(began) > comeback {
			t.Fatalf("the node that was away is not found after %s", time.Since(began))
		}
	}
	t.Logf("a node whose last handshake was %s ago is found after %s", age.Round(time.Second), time.Since(began).Round(10*time.Millisecond))
}

// lastHandshake is when the worker had one with any peer.
func lastHandshake(t *testing.T, w *harness.Worker) (last time.Time) {
	t.Helper()
	for _, p := range encryption(t, w).Peers {
		if p.LastHandshake.After(last) {
			last = p.LastHandshake
		}
	}
	return last
}

func encryption(t *testing.T, w *harness.Worker) api.Encryption {
	t.Helper()
	e, err := w.Agent().Encryption(t.Context())
	must(t, err)
	return e
}
