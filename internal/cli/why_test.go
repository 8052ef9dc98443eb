package cli_test

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/signet-cni/signet/identity"
	"github.com/signet-cni/signet/internal/api"
)

// whyBackend is what the nodes say of backend's way to vip.
func whyBackend(node string) api.Why {
	return api.Why{
		Node: node, Revision: 7, Verdict: api.Dropped,
		From:   api.WhyEnd{Addr: netip.MustParseAddr("10.244.2.3"), Identity: 1003, Namespace: "concert", Labels: map[string]string{"role": "backend"}},
		To:     api.WhyEnd{Addr: netip.MustParseAddr("10.244.1.2"), Identity: 1001, Namespace: "concert", Labels: map[string]string{"role": "vip"}},
		Egress: api.WhyDirection{Admitted: true, Text: "no policy isolates it"},
		Ingress: api.WhyDirection{Text: "isolated by concert/vip, and no rule admits it", Policies: []api.WhyPolicy{
			{Namespace: "concert", Name: "db", Because: "has label role=vip, want role=db"},
			{Namespace: "concert", Name: "vip", Isolates: true, Rules: []api.WhyRule{{
				Text: "from pods with role=security in namespace concert on TCP 80", Misses: []string{"it has label role=backend, want role=security"},
			}}},
		}},
		Kernel: api.Kernel{Verdict: api.Dropped, Revision: 7},
	}
}

// explained is the concert, whose nodes can say why.
func explained(t *testing.T, change func(one, two *node)) *cluster {
	t.Helper()
	one, two := workerOne(), workerTwo()
	one.why, two.why = whyBackend("worker-1"), whyBackend("worker-2")
	one.services = []api.Service{{
		Namespace: "concert", Name: "vip", Protocol: "tcp", Frontends: []netip.AddrPort{netip.MustParseAddrPort("10.96.0.7:8080")},
		Backends: []netip.AddrPort{netip.MustParseAddrPort("10.244.1.2:80")},
	}, {Namespace: "concert", Name: "empty", Protocol: "tcp", Frontends: []netip.AddrPort{netip.MustParseAddrPort("10.96.0.8:80")}}}
	if change != nil {
		change(one, two)
	}
	return &cluster{nodes: map[string]string{"worker-1": serve(t, one), "worker-2": serve(t, two)}}
}

func TestGoldenWhy(t *testing.T) {
	for name, args := range map[string]string{
		"why":          "policy why --from concert/backend --to concert/vip --port 80",
		"why-json":     "policy why --from concert/backend --to 10.244.1.2 --port 80/tcp -o json",
		"why-service":  "policy why --from concert/backend --to service/concert/vip --port 8080",
		"service-list": "service list -n concert",
	} {
		t.Run(name, func(t *testing.T) {
			golden(t, name+".txt", run(t, explained(t, nil), append(strings.Fields(args), "--socket", noSocket)...).String())
		})
	}
}

// What the kernel says otherwise is shown, and fails the command.
func TestWhyTellsDifferences(t *testing.T) {
	got := run(t, explained(t, func(one, two *node) {
		one.why.Kernel = api.Kernel{Verdict: api.Admitted, Differences: []string{"the kernel's maps say admitted, the compiled policy says dropped"}}
		two.why.Verdict = api.Admitted
	}), strings.Fields("policy why --from concert/backend --to concert/vip --port 80 --socket "+noSocket)...)
	if got.code != 1 || strings.Count(got.stdout, "DIFFERENCE: ") != 2 {
		t.Errorf("%s", got)
	}
}

// Each node is asked for the packet with both identities, that which judges
// first.
func TestWhyAsksTheNodesConcerned(t *testing.T) {
	var first *node
	c := explained(t, func(one, _ *node) { first = one })
	run(t, c, strings.Fields("policy why --from concert/backend --to service/concert/vip --port 8080 --socket "+noSocket)...)
	want := api.WhyQuery{
		From: netip.MustParseAddr("10.244.2.3"), To: netip.MustParseAddr("10.244.1.2"), FromID: 1003, ToID: 1001, Protocol: "tcp", Port: 80,
	}
	if first.asked != want {
		t.Errorf("asked %+v, want %+v", first.asked, want)
	}
	var asked []string
	for _, command := range c.commands {
		if strings.Contains(command, "ask-why") {
			asked = append(asked, command)
		}
	}
	if len(asked) != 2 {
		t.Errorf("asked %q", asked)
	}
	if id := first.asked.FromID; id == identity.Unknown {
		t.Error("no identity is sent along")
	}
}

func TestWhyRefuses(t *testing.T) {
	for name, test := range map[string]struct {
		args string
		code int
		want string
	}{
		"no flags":      {"policy why", 2, "--from"},
		"bad port":      {"policy why --from a/b --to a/c --port 0", 2, "port"},
		"no such pod":   {"policy why --from concert/gone --to concert/vip --port 80", 1, "endpoint list"},
		"half a name":   {"policy why --from vip --to concert/vip --port 80", 2, "NAMESPACE/POD"},
		"no pod at all": {"policy why --from 192.0.2.1 --to 192.0.2.2 --port 80", 1, "neither end is a pod"},
		"no Service":    {"policy why --from concert/backend --to service/concert/gone --port 80", 1, "no Service concert/gone"},
		"its port":      {"policy why --from concert/backend --to service/concert/vip --port 81", 1, "8080/tcp"},
		"no backend":    {"policy why --from concert/backend --to service/concert/empty --port 80", 1, "no ready backend"},
	} {
		t.Run(name, func(t *testing.T) {
			got := run(t, explained(t, nil), append(strings.Fields(test.args), "--socket", noSocket)...)
			if got.code != test.code || !strings.Contains(got.stderr, test.want) || strings.Count(got.stderr, "\n") != 1 {
				t.Errorf("%s", got)
			}
		})
	}
}
