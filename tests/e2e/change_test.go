//go:build e2e

package e2e

import (
	"fmt"
	"testing"
	"time"

	"github.com/signet-cni/signet/tests/e2e/lab"
)

// bound is how long a change may take from the API to all traffic.
const bound = 5 * time.Second

// recovery is how long a live connection may take to go on once it may again:
// TCP repeats less and less often while nothing comes back.
const recovery = 20 * time.Second

// traffic is a client that asks a server over one connection and over new
// flows.
type traffic struct {
	live, fresh *lab.Watch
}

func watch(t *testing.T, kind string, from, to *lab.Pod) *lab.Watch {
	t.Helper()
	w, err := cluster.Watch(t.Context(), kind, from, to, 80)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Stop)
	return w
}

// talk starts both kinds and waits until both work.
func talk(t *testing.T, from, to *lab.Pod) traffic {
	t.Helper()
	c := traffic{live: watch(t, lab.Live, from, to), fresh: watch(t, lab.New, from, to)}
	for _, w := range []*lab.Watch{c.live, c.fresh} {
		if _, err := w.Await(true, time.Time{}, recovery); err != nil {
			t.Fatalf("%s -> %s: %v", from.Key(), to.Key(), err)
		}
	}
	return c
}

// expect makes a change and waits until both kinds of traffic have the state
// that it brings. It tells how long that took, counted from before the change
// was written to the API.
func (c traffic) expect(t *testing.T, what string, answered bool, change func()) {
	t.Helper()
	began := time.Now()
	change()
	wrote := time.Since(began)
	most := bound
	for kind, w := range map[string]*lab.Watch{"new flows": c.fresh, "the live connection": c.live} {
		if answered && w == c.live {
			most = recovery
		}
		at, err := w.Await(answered, began, most)
		if err != nil {
			t.Errorf("%s: %s: %v", what, kind, err)
			continue
		}
		took := at.Sub(began)
		if took > most {
			t.Errorf("%s: %s took %s", what, kind, took)
		}
		t.Logf("%s: %s after %d ms (kubectl took %d ms)", what, kind, took.Milliseconds(), wrote.Milliseconds())
	}
}

const admitManifest = `
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: admit, namespace: %s}
spec:
  podSelector: {matchLabels: {app: db}}
  policyTypes: [Ingress]
  ingress:
  - from:
    - podSelector: {matchLabels: {app: bystander}}
    - %s
`

// TestPolicyChange creates, changes and deletes a policy under traffic. A
// bystander who may talk all the time notices nothing.
func TestPolicyChange(t *testing.T) {
	ns := prefix + "change"
	db, client, bystander := server("change", "db", lab.Worker), server("change", "client", lab.Worker2), server("change", "bystander", lab.Worker2)
	create(t, alone("change"), db, client, bystander)
	c, other := talk(t, client, db), talk(t, bystander, db)
	allow := func(app string) func() {
		return func() { apply(t, fmt.Sprintf(admitManifest, ns, "podSelector: {matchLabels: {app: "+app+"}}")) }
	}
	c.expect(t, "created, denies", false, allow("nobody"))
	c.expect(t, "changed, admits", true, allow("client"))
	c.expect(t, "changed, denies", false, allow("nobody"))
	c.expect(t, "deleted", true, func() { kubectl(t, "delete", "networkpolicy", "-n", ns, "admit") })
	undisturbed(t, other)
}

// undisturbed checks that a client got answers all the time.
func undisturbed(t *testing.T, c traffic) {
	t.Helper()
	for kind, w := range map[string]*lab.Watch{"new flows": c.fresh, "the live connection": c.live} {
		gap := w.Gap()
		t.Logf("bystander: the longest time between answers: %d ms on %s", gap.Milliseconds(), kind)
		if gap > 2*time.Second {
			t.Errorf("the bystander got no answer for %s on %s", gap, kind)
		}
	}
}

// TestLabelChange changes the labels of a client and of its namespace under
// traffic.
func TestLabelChange(t *testing.T) {
	ns, guests := prefix+"label", prefix+"guests"
	db, bystander := server("label", "db", lab.Worker), server("label", "bystander", lab.Worker2)
	friend, guest := server("label", "friend", lab.Worker2), server("guests", "guest", lab.ControlPlane)
	create(t, []lab.Namespace{{Name: ns}, {Name: guests}}, db, bystander, friend, guest)
	other, byPod, byNamespace := talk(t, bystander, db), talk(t, friend, db), talk(t, guest, db)
	set := func(args ...string) func() {
		return func() { kubectl(t, append([]string{"label", "--overwrite"}, args...)...) }
	}
	byPod.expect(t, "policy for friends", false, func() {
		apply(t, fmt.Sprintf(admitManifest, ns, "podSelector: {matchLabels: {is: friend}}"))
		apply(t, fmt.Sprintf(guestManifest, ns))
	})
	byPod.expect(t, "pod labelled", true, set("pod", "-n", ns, "friend", "is=friend"))
	byPod.expect(t, "pod no longer labelled", false, set("pod", "-n", ns, "friend", "is-"))
	byNamespace.expect(t, "namespace labelled", true, set("namespace", guests, "are=welcome"))
	byNamespace.expect(t, "namespace no longer labelled", false, set("namespace", guests, "are-"))
	undisturbed(t, other)
}

const guestManifest = `
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: guests, namespace: %s}
spec:
  podSelector: {matchLabels: {app: db}}
  policyTypes: [Ingress]
  ingress:
  - from:
    - namespaceSelector: {matchLabels: {are: welcome}}
`
