package kube

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/signet-cni/signet/identity"
)

// claimants makes a cluster in which node-1 lists ids, of which the verifier
// has found those in verified. concertSet is the only Identity.
func claimants(t *testing.T, ids, verified []identity.ID, pods ...string) *fakeAPI {
	t.Helper()
	list := func(ids []identity.ID) []any {
		out := []any{}
		for _, id := range ids {
			out = append(out, int64(id))
		}
		return out
	}
	object := encodedTunnel(t, tunnelNode(1))
	for part, ids := range map[string][]identity.ID{"spec": ids, "status": verified} {
		if err := unstructured.SetNestedSlice(object.Object, list(ids), part, "identities"); err != nil {
			t.Fatal(err)
		}
	}
	set := concertSet()
	published, err := encodeIdentity(identity.Number(set, 0), set)
	if err != nil {
		t.Fatal(err)
	}
	return newFakeAPI(t, map[string][]any{
		"namespaces": fromYAML(t, `{metadata: {name: concert, labels: {team: a, kubernetes.io/metadata.name: concert}}}`),
		"identities": {published.Object},
		"tunnels":    {object.Object},
		"pods":       fromYAML(t, pods...),
	})
}

// verifier runs one until the test ends, at a time that the test sets.
func (a *fakeAPI) verifier(t *testing.T) (*Verifier, *time.Time) {
	t.Helper()
	v, err := NewVerifier(a.client(t), func(Kind) {})
	if err != nil {
		t.Fatal(err)
	}
	now := time.Unix(1000, 0)
	v.now = func() time.Time { return now }
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); v.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	limit, stop := context.WithTimeout(ctx, 10*time.Second)
	defer stop()
	if err := v.WaitSynced(limit); err != nil {
		t.Fatal(err)
	}
	return v, &now
}

func looks(fake *fakeAPI) (count int) {
	for _, asked := range fake.seen() {
		if asked.verb == "list" && asked.resource == "pods" {
			count++
		}
	}
	return count
}

// vipPod is a pod of concertSet's labels; more goes into its YAML.
func vipPod(meta, spec, status string) string {
	return fmt.Sprintf(`{metadata: {namespace: concert, name: p, labels: {role: vip, pod-template-hash: z}%s},
  spec: {nodeName: node-1%s}, status: {%s}}`, meta, spec, status)
}

// A node speaks for the labels of pods that are scheduled to it, and not for
// what it can make up.
func TestVerify(t *testing.T) {
	vip := identity.Number(concertSet(), 0)
	for _, test := range []struct {
		name string
		pod  string
		want string // what is written, "" for nothing
	}{
		{"a pod of these labels", vipPod("", "", "phase: Running"), fmt.Sprintf("[%d]", vip)},
		{"not started yet", vipPod("", "", ""), fmt.Sprintf("[%d]", vip)},
		{"other labels", `{metadata: {namespace: concert, name: p, labels: {role: guest}}, spec: {nodeName: node-1}}`, ""},
		{"one more label", `{metadata: {namespace: concert, name: p, labels: {role: vip, extra: x}}, spec: {nodeName: node-1}}`, ""},
		{"another namespace", `{metadata: {namespace: other, name: p, labels: {role: vip}}, spec: {nodeName: node-1}}`, ""},
		{"another node's", strings.Replace(vipPod("", "", ""), "node-1", "node-2", 1), ""},
		{"the mirror of a static pod", vipPod(", annotations: {kubernetes.io/config.mirror: x}", "", "phase: Running"), ""},
		{"of the host's network", vipPod("", ", hostNetwork: true", "phase: Running"), ""},
		{"ended", vipPod("", "", "phase: Succeeded"), ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			fake := claimants(t, []identity.ID{vip, 999}, nil, test.pod)
			v, _ := fake.verifier(t)
			if _, err := v.Verify(t.Context()); err != nil {
				t.Fatal(err)
			}
			want := []string(nil)
			if test.want != "" {
				want = []string{`{"status":{"identities":` + test.want + `}}`}
			}
			equal(t, "written", fake.sent(), want)
			for _, asked := range fake.seen() {
				if asked.resource == "pods" && (asked.verb != "list" || asked.fields != "spec.nodeName=node-1") {
					t.Errorf("asked %+v", asked)
				}
			}
		})
	}
}

// What packets under way can carry is verified for a while longer; what no pod
// of the node ever had is looked at less and less often, and told.
func TestVerifyGrace(t *testing.T) {
	vip := identity.Number(concertSet(), 0)
	fake := claimants(t, []identity.ID{300, vip}, []identity.ID{vip})
	v, now := fake.verifier(t)
	verify := func(want time.Duration, looked int, bodies ...string) {
		t.Helper()
		next, err := v.Verify(t.Context())
		if err != nil || next != want || looks(fake) != looked {
			t.Errorf("next after %v, %d looks, %v; want %v, %d", next, looks(fake), err, want, looked)
		}
		equal(t, "written", fake.sent(), bodies)
	}
	verify(firstDoubt, 1)
	verify(firstDoubt, 1)
	*now = now.Add(firstDoubt)
	verify(2*firstDoubt, 2)
	*now = time.Unix(1000, 0).Add(identity.Grace - time.Nanosecond)
	verify(time.Nanosecond, 3)
	if problems := v.Problems(); len(problems) != 0 {
		t.Errorf("told: %v", problems)
	}
	*now = time.Unix(1000, 0).Add(identity.Grace)
	verify(8*firstDoubt, 4, `{"status":{"identities":[]}}`)
	*now = now.Add(doubtTold)
	if problems := v.Problems(); len(problems) != 1 || problems[0].Name != "node-1" ||
		!strings.Contains(problems[0].Message, "lists identity 300") || !strings.Contains(problems[0].Message, "1 more such") {
		t.Errorf("told: %v", problems)
	}
	v.Reset()
	if due, _ := v.due(); len(due) != 1 {
		t.Errorf("%d nodes to look at after another was elected", len(due))
	}
}

// A node that is all right is looked at again after a while, one whose status
// cannot be written soon.
func TestVerifyAgain(t *testing.T) {
	vip := identity.Number(concertSet(), 0)
	fake := claimants(t, []identity.ID{vip}, nil, vipPod("", "", ""))
	fake.answer("patch tunnels/status", http.StatusForbidden)
	v, now := fake.verifier(t)
	for range 2 {
		next, err := v.Verify(t.Context())
		if err == nil || next > 2*firstDoubt {
			t.Errorf("a refusal: next after %v, %v", next, err)
		}
		*now = now.Add(next)
	}
	fake.answer("patch tunnels/status", 0)
	if next, err := v.Verify(t.Context()); err != nil || next != RecheckInterval {
		t.Errorf("next after %v, %v", next, err)
	}
	before := looks(fake)
	*now = now.Add(RecheckInterval - time.Second)
	_, err := v.Verify(t.Context())
	if looks(fake) != before {
		t.Error("looked too soon")
	}
	*now = now.Add(time.Second)
	_, again := v.Verify(t.Context())
	if looks(fake) != before+1 || errors.Join(err, again) != nil {
		t.Errorf("%d looks, want another; %v", looks(fake)-before, errors.Join(err, again))
	}
}

// A change is looked at at once, and many of them not too often.
func TestVerifyDue(t *testing.T) {
	at := time.Unix(1000, 0)
	seen := &claimant{uid: "u", claimed: []identity.ID{300}, looked: at, next: at.Add(RecheckInterval)}
	tunnel := func(uid string, ids ...identity.ID) *item[attestation] {
		it := &item[attestation]{value: attestation{identities: ids}}
		it.UID = "u"
		if uid != "" {
			it.UID = "other"
		}
		return it
	}
	for _, test := range []struct {
		name string
		node *claimant
		it   *item[attestation]
		want time.Time
	}{
		{"never seen", nil, tunnel("", 300), time.Time{}},
		{"made anew", seen, tunnel("other", 300), time.Time{}},
		{"as it was", seen, tunnel("", 300), at.Add(RecheckInterval)},
		{"changed", seen, tunnel("", 300, 301), at.Add(lookSpacing)},
	} {
		if got := test.node.due(test.it); !got.Equal(test.want) {
			t.Errorf("%s: due at %v, want %v", test.name, got, test.want)
		}
	}
}

// The verifier's role holds exactly the verbs that it uses.
func TestVerifierRole(t *testing.T) {
	vip := identity.Number(concertSet(), 0)
	fake := claimants(t, []identity.ID{vip}, nil, vipPod("", "", ""))
	v, _ := fake.verifier(t)
	if _, err := v.Verify(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := NewReporter(fake.client(t)).Report(t.Context(), []Problem{{Kind: "Tunnel", Name: "x"}}); err != nil {
		t.Fatal(err)
	}
	election := hasty
	election.Name = VerifyElection.Name
	lead(t, fake, election, func() bool { return wasAsked(fake, "update", "leases") })
	used := usedVerbs(fake)
	delete(used, "watch  pods")
	equal(t, "granted verbs", grantedVerbs(t, "signet-verifier"), used)
}
