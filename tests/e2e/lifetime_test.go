//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/signet-cni/signet/identity"
	"github.com/signet-cni/signet/internal/api"
	"github.com/signet-cni/signet/internal/cli"
	"github.com/signet-cni/signet/tests/e2e/lab"
)

// identityUID is the UID of an Identity, "" if there is none.
func identityUID(t *testing.T, id uint32) string {
	t.Helper()
	return kubectl(t, "get", "identity", fmt.Sprint(id), "--ignore-not-found", "-o", "jsonpath={.metadata.uid}")
}

// lifetimeGrace is the shortest time that an identity can be told to stay.
const lifetimeGrace = 20 * time.Second

// unlisted waits until no node speaks for a number any more.
func unlisted(t *testing.T, id uint32) {
	t.Helper()
	listed := func() bool {
		lists := kubectl(t, "get", "tunnels", "-o", `jsonpath={range .items[*]}{.spec.identities[*]}{" "}{end}`)
		return slices.Contains(strings.Fields(lists), fmt.Sprint(id))
	}
	for deadline := time.Now().Add(identity.Grace + time.Minute); listed(); time.Sleep(time.Second) {
		if time.Now().After(deadline) {
			t.Fatalf("a node goes on listing %d, which no pod has", id)
		}
	}
}

// TestIdentityLifetime ends two pods whose labels nobody else has. One comes
// back within the grace time and has the number it had, published all the time;
// that of the other is collected, and comes back as the same number. One that
// is in use all the time is never touched, nor what its pods say, although all
// agents are killed meanwhile.
func TestIdentityLifetime(t *testing.T) {
	db, used := server("lifetime", "db", lab.Worker), server("lifetime", "used", lab.Worker2)
	back, gone := server("lifetime", "back", lab.Worker2), server("lifetime", "gone", lab.ControlPlane)
	create(t, alone("lifetime"), db, used, back, gone)
	uids, numbers := map[string]string{}, map[string]uint32{}
	for _, app := range []string{"used", "back", "gone"} {
		numbers[app] = number(t, "lifetime", app)
		uids[app] = identityUID(t, numbers[app])
	}
	traffic := talk(t, used, db)
	began := time.Now()
	kubectl(t, "delete", "pod", "-n", db.Namespace, "back", "gone", "--wait=true")
	killAgents(t) // whoever collects, and whoever has to list, begins anew
	configure(t, "identityGrace: 15m", "identityGrace: "+lifetimeGrace.String())
	unlisted(t, numbers["back"]) // from now on only the grace time keeps it
	if err := cluster.Create(t.Context(), nil, []*lab.Pod{back}); err != nil {
		t.Fatal(err)
	}
	try(t, []lab.Probe{ask(back, db, 80, lab.TCP, lab.Answer)})
	if got := number(t, "lifetime", "back"); got != numbers["back"] {
		t.Errorf("back with number %d, had %d", got, numbers["back"])
	}
	for deadline := time.Now().Add(3 * time.Minute); identityUID(t, numbers["gone"]) != ""; time.Sleep(time.Second) {
		if time.Now().After(deadline) {
			t.Fatal("what no pod has is not collected")
		}
	}
	took := time.Since(began)
	t.Logf("collected %s after its last pod", took.Round(time.Second))
	if took < identity.Grace+lifetimeGrace {
		t.Error("collected within the grace time")
	}
	for _, app := range []string{"used", "back"} {
		if uid := identityUID(t, numbers[app]); uid != uids[app] {
			t.Errorf("the identity of %s was %s, is %s", app, uids[app], uid)
		}
	}
	if err := cluster.Create(t.Context(), nil, []*lab.Pod{gone}); err != nil {
		t.Fatal(err)
	}
	try(t, []lab.Probe{ask(gone, db, 80, lab.TCP, lab.Answer)})
	if got := number(t, "lifetime", "gone"); got != numbers["gone"] {
		t.Errorf("collected and back with number %d, had %d", got, numbers["gone"])
	}
	undisturbed(t, traffic)
}

// keyedPolicy admits to a namespace's db the pods that which says.
func keyedPolicy(namespace, which string) string {
	return fmt.Sprintf(`
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: keyed, namespace: %s}
spec:
  podSelector: {matchLabels: {app: db}}
  ingress:
  - from:
    - podSelector: %s
`, prefix+namespace, which)
}

// shard is a pod of labels that count the same for all shards, and one that
// does not count until a policy names it.
func shard(namespace, name, uid string) *lab.Pod {
	p := server(namespace, name, lab.Worker2)
	p.Labels = map[string]string{"app": "shard"}
	p.Selector = map[string]string{"none": name}
	if uid != "" {
		p.Labels["controller-uid"] = uid
	}
	return p
}

// TestIgnoredKey has a policy start and stop using a label key that does not
// count towards identities, under traffic. Pods that had one identity until
// then are told apart: no packet of one that may not passes once the policy is
// in force, and none that may is interrupted for longer than a change takes.
func TestIgnoredKey(t *testing.T) {
	db, enemy := server("keyed", "db", lab.Worker), server("keyed", "enemy", lab.Worker2)
	good, bad, none := shard("keyed", "good", "good"), shard("keyed", "bad", "bad"), shard("keyed", "none", "")
	create(t, alone("keyed"), db, enemy, good, bad, none)
	apply(t, keyedPolicy("keyed", "{matchLabels: {app: shard}}"))
	settle()
	watches := map[*lab.Pod]traffic{good: talk(t, good, db), bad: talk(t, bad, db), none: talk(t, none, db)}
	intruder := watch(t, lab.New, enemy, db)
	if good, bad := keyedNumbers(t); good != bad {
		t.Fatalf("a key that does not count tells pods apart: %s, %s", good, bad)
	}
	began := time.Now()
	closed := map[*lab.Pod]time.Time{} // since when
	for _, step := range []struct {
		what, selector string
		admits         []*lab.Pod
	}{
		{"In", "{matchExpressions: [{key: app, operator: In, values: [shard]}, {key: controller-uid, operator: In, values: [good]}]}", []*lab.Pod{good}},
		{"NotIn", "{matchExpressions: [{key: app, operator: In, values: [shard]}, {key: controller-uid, operator: NotIn, values: [bad]}]}", []*lab.Pod{good, none}},
		{"DoesNotExist", "{matchExpressions: [{key: app, operator: In, values: [shard]}, {key: controller-uid, operator: DoesNotExist}]}", []*lab.Pod{none}},
		{"not named any more", "{matchLabels: {app: shard}}", []*lab.Pod{good, bad, none}},
	} {
		changed := time.Now()
		apply(t, keyedPolicy("keyed", step.selector))
		for _, pod := range []*lab.Pod{good, bad, none} {
			since, isClosed := closed[pod]
			opens := slices.Contains(step.admits, pod)
			if opens && isClosed {
				neverBetween(t, step.what+", until then: "+pod.Name, watches[pod].fresh, since, changed)
			}
			switch at, err := watches[pod].fresh.Await(opens, changed, bound); {
			case err != nil:
				t.Errorf("%s: %s: %v", step.what, pod.Name, err)
			case opens:
				delete(closed, pod)
			case !isClosed:
				closed[pod] = at
			}
		}
	}
	for pod, w := range watches {
		if _, err := w.live.Await(true, time.Now(), recovery); err != nil {
			t.Errorf("%s: the live connection: %v", pod.Name, err)
		}
	}
	neverBetween(t, "enemy", intruder, began, time.Now())
	if good, bad := keyedNumbers(t); good != bad {
		t.Errorf("the key still counts: %s, %s", good, bad)
	}
}

// TestIgnoredKeyContinuity changes a policy so that it names a key, to the same
// effect for one pod: that pod is interrupted for no longer than a change takes.
func TestIgnoredKeyContinuity(t *testing.T) {
	db, good := server("steady", "db", lab.Worker), shard("steady", "good", "good")
	create(t, alone("steady"), db, good)
	apply(t, keyedPolicy("steady", "{matchLabels: {app: shard}}"))
	settle()
	c := talk(t, good, db)
	for range 2 {
		apply(t, keyedPolicy("steady", "{matchExpressions: [{key: controller-uid, operator: NotIn, values: [bad]}]}"))
		settle()
		apply(t, keyedPolicy("steady", "{matchLabels: {app: shard}}"))
		settle()
	}
	for kind, w := range map[string]*lab.Watch{"new flows": c.fresh, "the live connection": c.live} {
		if gap := w.Gap(); gap > bound {
			t.Errorf("%s: no answer for %s", kind, gap)
		} else {
			t.Logf("%s: the longest time between answers was %d ms", kind, gap.Milliseconds())
		}
	}
}

// keyedNumbers are the identities of the pods good and bad.
func keyedNumbers(t *testing.T) (good, bad identity.ID) {
	t.Helper()
	settle()
	out, errs, code := signet(t, "endpoint", "list", "-n", prefix+"keyed", "-o", "json")
	var answer cli.Answer[api.Endpoint]
	if err := json.Unmarshal([]byte(out), &answer); err != nil || code != 0 {
		t.Fatalf("exit code %d, %v: %s%s", code, err, out, errs)
	}
	numbers := map[string]identity.ID{}
	for _, e := range answer.Items {
		numbers[e.Pod] = e.Identity
	}
	if numbers["good"] == identity.Unknown || numbers["bad"] == identity.Unknown {
		t.Fatalf("identities %v", numbers)
	}
	return numbers["good"], numbers["bad"]
}

// neverBetween fails if a question of that time was answered.
func neverBetween(t *testing.T, what string, w *lab.Watch, from, to time.Time) {
	t.Helper()
	asked := 0
	for _, a := range w.Attempts() {
		if a.At.Before(from) || a.At.After(to) {
			continue
		}
		asked++
		if a.Answered {
			t.Errorf("%s: answered at %s, %s after it was closed", what, a.At, a.At.Sub(from))
			return
		}
	}
	t.Logf("%s: asked %d times, without an answer", what, asked)
}

// TestRelabelInFlight changes a label under a stream, to one that may talk as
// well: packets under way are judged by the old labels, and none is lost.
func TestRelabelInFlight(t *testing.T) {
	db, client := server("relabel", "db", lab.Worker), server("relabel", "client", lab.Worker2)
	create(t, alone("relabel"), db, client)
	apply(t, `
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: db, namespace: e2e-relabel}
spec:
  podSelector: {matchLabels: {app: db}}
  ingress:
  - from:
    - podSelector: {matchExpressions: [{key: app, operator: In, values: [client, friend, guest]}]}
`)
	settle()
	stream, c := watch(t, lab.Stream, client, db), talk(t, client, db)
	time.Sleep(time.Second)
	for _, app := range []string{"friend", "guest", "client"} {
		kubectl(t, "label", "--overwrite", "pod", "-n", client.Namespace, client.Name, "app="+app)
		settle()
	}
	stream.Stop()
	lost, sent := stream.Lost()
	t.Logf("the UDP stream lost %d of %d datagrams", lost, sent)
	if sent == 0 || float64(lost) > 0.02*float64(sent) { // this machine may be busy
		t.Error("too many")
	}
	undisturbed(t, c)
}
