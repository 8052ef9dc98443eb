package kube

import (
	"encoding/json"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	netv1 "k8s.io/api/networking/v1"
	"sigs.k8s.io/yaml"

	"github.com/signet-cni/signet/enforce/policy"
	"github.com/signet-cni/signet/identity"
)

// policyOf reads the spec of a NetworkPolicy, written as YAML.
func policyOf(t *testing.T, spec string) *netv1.NetworkPolicy {
	t.Helper()
	in := &netv1.NetworkPolicy{}
	in.Namespace, in.Name, in.UID = "shop", "rule", "uid-1"
	if err := yaml.Unmarshal([]byte(spec), &in.Spec); err != nil {
		t.Fatal(err)
	}
	return in
}

func sel(t *testing.T, labels map[string]string, requirements ...identity.Requirement) identity.Selector {
	t.Helper()
	out, err := identity.NewSelector(labels, requirements)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func equal(t *testing.T, what string, got, want any) {
	t.Helper()
	options := cmp.Options{
		cmpopts.EquateEmpty(),
		cmpopts.EquateComparable(netip.Addr{}, netip.Prefix{}, netip.AddrPort{}),
	}
	if diff := cmp.Diff(want, got, options); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func TestPolicyDirections(t *testing.T) {
	for _, test := range []struct {
		name, spec      string
		ingress, egress bool
		in, out         int // rules
		problems        int
	}{
		{"empty spec isolates ingress", `podSelector: {}`, true, false, 0, 0, 0},
		{"ingress absent, no types", `{podSelector: {}}`, true, false, 0, 0, 0},
		{"ingress: [] isolates", `{podSelector: {}, ingress: []}`, true, false, 0, 0, 0},
		{"ingress: [{}] admits all", `{podSelector: {}, ingress: [{}]}`, true, false, 1, 0, 0},
		{"egress: [] does not isolate egress", `{podSelector: {}, egress: []}`, true, false, 0, 0, 0},
		{"egress rules imply the type", `{podSelector: {}, egress: [{}]}`, true, true, 0, 1, 0},
		{"types: [] is as absent", `{podSelector: {}, policyTypes: [], egress: [{}]}`, true, true, 0, 1, 0},
		{"only egress", `{podSelector: {}, policyTypes: [Egress]}`, false, true, 0, 0, 0},
		{"only egress, ingress rules have no force", `{podSelector: {}, policyTypes: [Egress], ingress: [{}], egress: [{}]}`, false, true, 0, 1, 0},
		{"only ingress, egress rules have no force", `{podSelector: {}, policyTypes: [Ingress], egress: [{}]}`, true, false, 0, 0, 0},
		{"both", `{podSelector: {}, policyTypes: [Ingress, Egress]}`, true, true, 0, 0, 0},
		{"unknown type isolates both", `{podSelector: {}, policyTypes: [Sideways]}`, true, true, 0, 0, 1},
		{"types are case sensitive", `{podSelector: {}, policyTypes: [egress]}`, true, true, 0, 0, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, problems := parsePolicy(policyOf(t, test.spec))
			if got.IsolatesIngress != test.ingress || got.IsolatesEgress != test.egress {
				t.Errorf("isolates ingress %t, egress %t; want %t, %t",
					got.IsolatesIngress, got.IsolatesEgress, test.ingress, test.egress)
			}
			if len(got.Ingress) != test.in || len(got.Egress) != test.out {
				t.Errorf("%d ingress and %d egress rules; want %d, %d", len(got.Ingress), len(got.Egress), test.in, test.out)
			}
			if len(problems) != test.problems {
				t.Errorf("problems: %v", problems)
			}
			if !got.Subjects.MatchesAll() {
				t.Errorf("subjects: %v", got.Subjects)
			}
		})
	}
}

func TestPolicyPeers(t *testing.T) {
	app := sel(t, map[string]string{"app": "db"})
	all := sel(t, nil)
	prefix := netip.MustParsePrefix
	for _, test := range []struct {
		name, from string // the list of one rule
		rules      []policy.Rule
		problem    string // part of the one message; "": none
	}{
		{"absent", `null`, []policy.Rule{{}}, ""},
		{"empty", `[]`, []policy.Rule{{}}, ""},
		{"pods", `[{podSelector: {matchLabels: {app: db}}}]`, []policy.Rule{{Peers: []policy.Peer{{Pods: &app}}}}, ""},
		{"all pods of the namespace", `[{podSelector: {}}]`, []policy.Rule{{Peers: []policy.Peer{{Pods: &all}}}}, ""},
		{"all namespaces", `[{namespaceSelector: {}}]`, []policy.Rule{{Peers: []policy.Peer{{Namespaces: &all}}}}, ""},
		{
			"both selectors", `[{namespaceSelector: {}, podSelector: {matchLabels: {app: db}}}]`,
			[]policy.Rule{{Peers: []policy.Peer{{Namespaces: &all, Pods: &app}}}},
			"",
		},
		{
			"two peers", `[{namespaceSelector: {}}, {podSelector: {}}]`,
			[]policy.Rule{{Peers: []policy.Peer{{Namespaces: &all}, {Pods: &all}}}},
			"",
		},
		{"nothing in a peer", `[{}]`, nil, "ingress[0].from[0]: neither selectors nor an ipBlock"},
		{
			"a bad peer leaves the good one", `[{}, {podSelector: {}}]`,
			[]policy.Rule{{Peers: []policy.Peer{{Pods: &all}}}},
			"from[0]",
		},
		{"unknown operator", `[{podSelector: {matchExpressions: [{key: a, operator: Near}]}}]`, nil, "podSelector"},
		{"operator without values", `[{namespaceSelector: {matchExpressions: [{key: a, operator: In}]}}]`, nil, "namespaceSelector"},
		{"malformed key", `[{podSelector: {matchLabels: {"a/b/c": d}}}]`, nil, "podSelector"},
		{
			"block", `[{ipBlock: {cidr: 10.1.2.3/8, except: [10.2.0.0/16]}}]`,
			[]policy.Rule{{Peers: []policy.Peer{{Block: policy.IPBlock{
				CIDR: prefix("10.0.0.0/8"), Except: []netip.Prefix{prefix("10.2.0.0/16")},
			}}}}},
			"",
		},
		{
			"IPv6 block", `[{ipBlock: {cidr: "2001:db8::/32", except: ["2001:db8:1::/48"]}}]`,
			[]policy.Rule{{Peers: []policy.Peer{{Block: policy.IPBlock{
				CIDR: prefix("2001:db8::/32"), Except: []netip.Prefix{prefix("2001:db8:1::/48")},
			}}}}},
			"",
		},
		{
			"block of everything", `[{ipBlock: {cidr: 0.0.0.0/0}}]`,
			[]policy.Rule{{Peers: []policy.Peer{{Block: policy.IPBlock{CIDR: prefix("0.0.0.0/0")}}}}},
			"",
		},
		{"block without a mask", `[{ipBlock: {cidr: 10.0.0.1}}]`, nil, `malformed CIDR "10.0.0.1"`},
		{"block of leading zeroes", `[{ipBlock: {cidr: 010.0.0.0/8}}]`, nil, "malformed CIDR"},
		{"empty block", `[{ipBlock: {}}]`, nil, "malformed CIDR"},
		{"IPv4 in IPv6", `[{ipBlock: {cidr: "::ffff:10.0.0.0/104"}}]`, nil, "IPv4 in IPv6 form"},
		{"malformed except", `[{ipBlock: {cidr: 10.0.0.0/8, except: [x]}}]`, nil, "except: malformed"},
		{"except outside", `[{ipBlock: {cidr: 10.0.0.0/8, except: [11.0.0.0/16]}}]`, nil, "not a part of"},
		{"except as large", `[{ipBlock: {cidr: 10.0.0.0/8, except: [10.0.0.0/8]}}]`, nil, "not a part of"},
		{"except of the other family", `[{ipBlock: {cidr: 10.0.0.0/8, except: ["2001:db8::/32"]}}]`, nil, "not a part of"},
		{"block and selector", `[{ipBlock: {cidr: 10.0.0.0/8}, podSelector: {}}]`, nil, "together with a selector"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, problems := parsePolicy(policyOf(t, `{podSelector: {}, ingress: [{from: `+test.from+`}]}`))
			equal(t, "ingress", got.Ingress, test.rules)
			checkProblem(t, problems, test.problem)
			mirror := `{podSelector: {}, policyTypes: [Egress], egress: [{to: ` + test.from + `}]}`
			got, problems = parsePolicy(policyOf(t, mirror))
			equal(t, "egress", got.Egress, test.rules)
			checkProblem(t, problems, strings.ReplaceAll(strings.ReplaceAll(test.problem, "ingress", "egress"), "from", "to"))
		})
	}
}

func TestPolicyPorts(t *testing.T) {
	for _, test := range []struct {
		name, ports string
		want        []policy.Port
		problem     string // then the rule must be gone
	}{
		{"absent", `null`, nil, ""},
		{"empty", `[]`, nil, ""},
		{"default protocol", `[{port: 80}]`, []policy.Port{{Protocol: policy.TCP, First: 80, Last: 80}}, ""},
		{"all of TCP", `[{}]`, []policy.Port{{Protocol: policy.TCP}}, ""},
		{"all of UDP", `[{protocol: UDP}]`, []policy.Port{{Protocol: policy.UDP}}, ""},
		{"SCTP", `[{protocol: SCTP, port: 7}]`, []policy.Port{{Protocol: policy.SCTP, First: 7, Last: 7}}, ""},
		{"range", `[{port: 80, endPort: 90}]`, []policy.Port{{Protocol: policy.TCP, First: 80, Last: 90}}, ""},
		{"range of one", `[{port: 80, endPort: 80}]`, []policy.Port{{Protocol: policy.TCP, First: 80, Last: 80}}, ""},
		{"up to the last", `[{port: 1, endPort: 65535}]`, []policy.Port{{Protocol: policy.TCP, First: 1, Last: 65535}}, ""},
		{"named", `[{port: web, protocol: UDP}]`, []policy.Port{{Protocol: policy.UDP, Name: "web"}}, ""},
		{
			"two", `[{port: 80}, {port: dns, protocol: UDP}]`,
			[]policy.Port{{Protocol: policy.TCP, First: 80, Last: 80}, {Protocol: policy.UDP, Name: "dns"}},
			"",
		},
		{"range reversed", `[{port: 80, endPort: 79}]`, nil, "ports[0]: endPort 79 is before port 80"},
		{"range too far", `[{port: 80, endPort: 65536}]`, nil, "endPort: port 65536"},
		{"endPort with a name", `[{port: web, endPort: 90}]`, nil, "named port"},
		{"endPort alone", `[{endPort: 90}]`, nil, "endPort without a port"},
		{"port 0", `[{port: 0}]`, nil, "port 0"},
		{"negative", `[{port: -1}]`, nil, "port -1"},
		{"too large", `[{port: 65536}]`, nil, "port 65536"},
		{"number as text", `[{port: "80"}]`, nil, "port name"},
		{"empty name", `[{port: ""}]`, nil, "port name"},
		{"name in capitals", `[{port: WEB}]`, nil, "port name"},
		{"unknown protocol", `[{protocol: ICMP}]`, nil, `unknown protocol "ICMP"`},
		{"protocol in small letters", `[{protocol: tcp, port: 80}]`, nil, "unknown protocol"},
		{"a bad one takes the rule with it", `[{port: 80}, {port: 0}]`, nil, "ports[1]"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, problems := parsePolicy(policyOf(t, `{podSelector: {}, ingress: [{ports: `+test.ports+`}]}`))
			want := []policy.Rule{{Ports: test.want}}
			if test.problem != "" {
				want = nil
			}
			equal(t, "ingress", got.Ingress, want)
			checkProblem(t, problems, test.problem)
			if !got.IsolatesIngress {
				t.Error("no longer isolates")
			}
		})
	}
}

func TestPolicySubjects(t *testing.T) {
	got, problems := parsePolicy(policyOf(t, `
podSelector:
  matchLabels: {role: vip}
  matchExpressions: [{key: tier, operator: NotIn, values: [b, a]}]`))
	want := sel(t, map[string]string{"role": "vip"},
		identity.Requirement{Key: "tier", Operator: identity.NotIn, Values: []string{"a", "b"}})
	equal(t, "subjects", got.Subjects, want)
	checkProblem(t, problems, "")

	got, problems = parsePolicy(policyOf(t, `
podSelector: {matchExpressions: [{key: a, operator: Within, values: [b]}]}
policyTypes: [Ingress, Egress]
ingress: [{}]
egress: [{}]`))
	equal(t, "unparsable subject", got, policy.Policy{
		Namespace: "shop", Name: "rule", IsolatesIngress: true, IsolatesEgress: true,
	})
	checkProblem(t, problems, "every pod of the namespace is isolated")
	equal(t, "problem's object", problems[0].subjectOnly(),
		Problem{Kind: "NetworkPolicy", Namespace: "shop", Name: "rule", UID: "uid-1", Reason: ReasonSelector})
}

// A rule that loses one peer keeps its ports, and other rules stay whole.
func TestPolicyRulesStayApart(t *testing.T) {
	got, problems := parsePolicy(policyOf(t, `
podSelector: {}
ingress:
- {from: [{ipBlock: {cidr: nonsense}}], ports: [{port: 1}]}
- {ports: [{port: 2}]}
- {from: [{}, {podSelector: {}}], ports: [{port: 3}]}`))
	all := sel(t, nil)
	equal(t, "ingress", got.Ingress, []policy.Rule{
		{Ports: []policy.Port{{Protocol: policy.TCP, First: 2, Last: 2}}},
		{Peers: []policy.Peer{{Pods: &all}}, Ports: []policy.Port{{Protocol: policy.TCP, First: 3, Last: 3}}},
	})
	if len(problems) != 2 {
		t.Errorf("problems: %v", problems)
	}
}

func TestPolicyProblemReasons(t *testing.T) {
	for spec, want := range map[string]string{
		`{podSelector: {matchExpressions: [{key: a, operator: Within}]}}`:               ReasonSelector,
		`{podSelector: {}, policyTypes: [Sideways]}`:                                    ReasonPolicyType,
		`{podSelector: {}, ingress: [{from: [{}]}]}`:                                    ReasonPeer,
		`{podSelector: {}, ingress: [{ports: [{protocol: X, port: 80, endPort: 90}]}]}`: ReasonPort,
	} {
		_, problems := parsePolicy(policyOf(t, spec))
		if len(problems) != 1 || problems[0].Reason != want {
			t.Errorf("%s: %+v, want one of reason %s", spec, problems, want)
		}
	}
}

func (p Problem) subjectOnly() Problem {
	p.Message = ""
	return p
}

func checkProblem(t *testing.T, problems []Problem, part string) {
	t.Helper()
	if part == "" {
		if len(problems) > 0 {
			t.Errorf("unexpected problems: %v", problems)
		}
		return
	}
	if len(problems) != 1 || !strings.Contains(problems[0].Message, part) {
		t.Errorf("problems %v; want one with %q", problems, part)
	}
}

// FuzzPolicy feeds whatever decodes as a NetworkPolicy, and checks that no
// rule comes out wider than it went in.
func FuzzPolicy(f *testing.F) {
	f.Add([]byte(`{"spec":{"podSelector":{},"ingress":[{"from":[{"ipBlock":{"cidr":"x"}}],"ports":[{"port":"a","endPort":3}]}]}}`))
	f.Add([]byte(`{"spec":{"podSelector":{"matchExpressions":[{"key":"a","operator":"?"}]},"egress":[{"to":[{}]}],"policyTypes":["Egress"]}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		in := &netv1.NetworkPolicy{}
		if json.Unmarshal(data, in) != nil {
			t.Skip("not a NetworkPolicy")
		}
		out, problems := parsePolicy(in)
		if !out.IsolatesIngress && !out.IsolatesEgress {
			t.Error("a policy that isolates nothing")
		}
		if !out.IsolatesIngress && len(out.Ingress) > 0 || !out.IsolatesEgress && len(out.Egress) > 0 {
			t.Error("rules of a direction that is not isolated")
		}
		if len(problems) > 0 {
			return
		}
		for n, rule := range out.Ingress {
			if len(rule.Peers) != len(in.Spec.Ingress[n].From) || len(rule.Ports) != len(in.Spec.Ingress[n].Ports) {
				t.Errorf("ingress[%d] lost a part without a problem", n)
			}
		}
		for n, rule := range out.Egress {
			if len(rule.Peers) != len(in.Spec.Egress[n].To) || len(rule.Ports) != len(in.Spec.Egress[n].Ports) {
				t.Errorf("egress[%d] lost a part without a problem", n)
			}
		}
	})
}
