package policy

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/signet-cni/signet/identity"
)

func tablesDiffer(a, b Table) string {
	return cmp.Diff(a, b, cmpopts.EquateEmpty(), cmpopts.EquateComparable(netip.Prefix{}))
}

func manyPolicies() []Policy {
	var out []Policy
	for n := range 30 {
		app := []string{"web", "api", "db"}[n%3]
		p := to(fmt.Sprint("p", n), app,
			peers(Peer{Pods: sel("app=web")}, Peer{Namespaces: sel("env=dev")}, block("10.0.0.0/8", "10.0.1.0/24")),
			ports(Port{Protocol: TCP, First: uint16(n), Last: uint16(n + 10)}, Port{Protocol: UDP, Name: "dns"}))
		p.IsolatesEgress = n%2 == 0
		p.Egress = []Rule{peers(Peer{Pods: op("tier", identity.Exists)}), peers(block("::/0", "fd00::/8"))}
		out = append(out, p)
	}
	return out
}

// Order of policies, rules, peers, ports and exceptions changes nothing.
func TestDeterminism(t *testing.T) {
	ids := residentIDs()
	want := Compile(ids, manyPolicies()).Table
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, 0))
		policies := manyPolicies()
		shuffle(r, policies)
		for _, p := range policies {
			shuffle(r, p.Ingress)
			shuffle(r, p.Egress)
			for _, rule := range p.Ingress {
				shuffle(r, rule.Peers)
				shuffle(r, rule.Ports)
			}
		}
		if diff := tablesDiffer(want, Compile(ids, policies).Table); diff != "" {
			t.Fatal(diff)
		}
	}
}

func shuffle[T any](r *rand.Rand, list []T) {
	r.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
}

// A row keeps its meaning whatever else is in the table: what two tables both
// have, they have with the same value.
func TestRowsNeverChangeTheirMeaning(t *testing.T) {
	ids, all := residentIDs(), manyPolicies()
	whole := Compile(ids, all).Table
	for n := range all {
		part := Compile(ids, slices.Concat(all[:n], all[n+1:])).Table
		sameWhereBoth(t, part.Rules, whole.Rules)
		sameWhereBoth(t, part.CIDRs, whole.CIDRs)
		sameWhereBoth(t, part.Chunks, whole.Chunks)
	}
}

func sameWhereBoth[K, V comparable](t *testing.T, a, b map[K]V) {
	t.Helper()
	for key, value := range a {
		if other, ok := b[key]; ok && other != value {
			t.Errorf("%+v is %+v in one table and %+v in another", key, value, other)
		}
	}
}

// Policies that say the same in other words share a rule set; who is not told
// apart shares a class.
func TestContentAddressing(t *testing.T) {
	tcp := func(first, last uint16) Port { return Port{Protocol: TCP, First: first, Last: last} }
	one := to("one", "web", ports(tcp(80, 80), tcp(81, 90)), peers(Peer{Pods: sel("app=api")}))
	two := to("two", "db", peers(Peer{Pods: sel("app=api")}), ports(tcp(85, 90)), ports(tcp(80, 86), tcp(80, 80)))
	result := Compile(residentIDs(), []Policy{one, two})
	entry := func(name string) Entry {
		id, _ := whois(name)
		return result.Table.Identities[id]
	}
	if entry("web").Ingress != entry("db").Ingress || entry("web").Ingress == NotIsolated {
		t.Errorf("rule sets %v and %v", entry("web").Ingress, entry("db").Ingress)
	}
	if entry("web").Class != entry("devweb").Class || entry("api").Class == entry("web").Class {
		t.Errorf("classes: web %v, devweb %v, api %v", entry("web").Class, entry("devweb").Class, entry("api").Class)
	}
	if got := len(result.Table.Rules); got != 3 {
		t.Errorf("%d rows, want those of non-pods, any pod and api: %+v", got, result.Table.Rules)
	}
}

func TestEntries(t *testing.T) {
	ids := residentIDs()
	ids[identity.World] = residentSet("web")
	table := Compile(ids, []Policy{to("p", "db", peers(block("10.0.0.0/8"))), from("q", "db")}).Table
	for _, id := range []identity.ID{identity.Host, identity.RemoteNode, identity.World, identity.Unmanaged, identity.Health} {
		if got, want := table.Identities[id], (Entry{Class: ClassNonPod}); got != want {
			t.Errorf("%s: %+v", id.Name(), got)
		}
	}
	if len(table.Identities) != len(residents)+5 {
		t.Errorf("%d entries", len(table.Identities))
	}
	db, _ := whois("db")
	if e := table.Identities[db]; e.Ingress == NotIsolated || e.Egress == NotIsolated || e.Ingress == e.Egress || !e.IngressCIDRs || e.EgressCIDRs {
		t.Errorf("db: %+v", e)
	}
	if e := table.Identities[db]; e.Class <= ClassNonPod {
		t.Errorf("class of a pod: %d", e.Class)
	}
}

// With 64 bits cut to 23 values, numbers collide all the time: content stays apart, and
// verdicts stay right.
func TestNumberCollisions(t *testing.T) {
	few := func(d digest) uint64 { return binary.BigEndian.Uint64(d[:8]) % 23 }
	ids, policies := residentIDs(), manyPolicies()[:8]
	normal, narrow := compile(ids, policies, first64).Table, compile(ids, policies, few).Table
	if len(normal.Rules) != len(narrow.Rules) || len(normal.CIDRs) != len(narrow.CIDRs) {
		t.Fatalf("%d and %d rows", len(normal.Rules), len(narrow.Rules))
	}
	for _, src := range []string{"web", "api", "db", "devweb", "world", "node"} {
		for _, dst := range []string{"web", "api", "db", "devapi", "world6"} {
			for _, port := range []string{"tcp/5", "tcp/11", "tcp/8080", "udp/53", "icmp"} {
				q := query(t, src+" "+dst+" "+port)
				if a, b := normal.Admits(q), narrow.Admits(q); a != b {
					t.Errorf("%s to %s %s: %+v, narrowed %+v", src, dst, port, a, b)
				}
			}
		}
	}
	shuffled := slices.Clone(policies)
	slices.Reverse(shuffled)
	if diff := tablesDiffer(narrow, compile(ids, shuffled, few).Table); diff != "" {
		t.Errorf("collisions are resolved by order: %s", diff)
	}
}

// A subject that may be selected is isolated, and is not admitted what the
// policy says, beside another that selects it for certain too.
func TestUnclearSubject(t *testing.T) {
	set := identity.NewSet("prod", environments["prod"], map[string]string{"app": "batch", "job-name": "j"}, identity.DefaultIgnore())
	id := identity.Number(set, 0)
	world := Query{Src: identity.World, Dst: id, SrcAddr: netip.MustParseAddr("192.0.2.7"), Protocol: 6, Port: 1, HasPort: true}
	unclear := Policy{
		Namespace: "prod", Name: "unclear", Subjects: *op("job-name", identity.DoesNotExist),
		IsolatesIngress: true, Ingress: []Rule{{}},
	}
	sure := to("sure", "batch")
	for _, policies := range [][]Policy{{unclear}, {sure, unclear}} {
		result := Compile(map[identity.ID]identity.Set{id: set}, policies)
		if v := result.Table.Admits(world); v.Ingress != DeniedByPolicy {
			t.Errorf("%d policies: %+v", len(policies), v)
		}
		isolating := result.Explain.Isolating(id, Ingress)
		if last := isolating[len(isolating)-1]; len(isolating) != len(policies) || !last.Unclear || last.Policy.Name != "unclear" {
			t.Errorf("isolating: %+v", isolating)
		}
	}
}

func TestNamedKeys(t *testing.T) {
	policies := []Policy{{
		Subjects: *sel("a=1"),
		Ingress:  []Rule{peers(Peer{Pods: op("job-name", identity.Exists), Namespaces: sel("namespace=label")}, block("::/0"))},
		Egress:   []Rule{peers(Peer{Pods: &identity.Selector{Requirements: identity.Unparsable().Requirements}})},
	}, {Subjects: *sel("a=2", "b=1")}}
	if got, want := NamedKeys(policies), []string{"a", "b", "job-name"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestProblems(t *testing.T) {
	bad := to("bad", "web",
		Rule{Peers: []Peer{{}, block("10.0.0.0/8", "10.0.0.0/7")}},
		Rule{Ports: []Port{{Protocol: 1}, {Protocol: TCP, First: 2, Last: 1}, {Protocol: TCP, Name: "x", First: 1, Last: 1}}})
	problems := Compile(residentIDs(), []Policy{bad}).Problems
	var got []string
	for _, p := range problems {
		got = append(got, p.Rule.String()+": "+p.Reason)
	}
	want := []string{
		"prod/bad ingress[0]: a peer without selectors and without a valid ipBlock admits nothing",
		"prod/bad ingress[0]: ipBlock 10.0.0.0/8 with the exception 10.0.0.0/7, which leaves nothing of it admits nothing",
		"prod/bad ingress[1]: a port of IP protocol 1: want TCP, UDP or SCTP admits nothing",
		"prod/bad ingress[1]: a port range from 2 to 1 admits nothing",
		`prod/bad ingress[1]: a port with both the name "x" and a number admits nothing`,
	}
	if !slices.Equal(got, want) {
		t.Errorf("got:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestExplain(t *testing.T) {
	one := to("one", "db", peers(Peer{Pods: sel("app=web")}), peers(block("10.0.0.0/8", "10.0.1.0/24")))
	two := to("two", "db", peers(Peer{Namespaces: &identity.Selector{}}), Rule{Ports: []Port{{Protocol: 99}}}, Rule{Ports: []Port{{Protocol: UDP}}})
	result := Compile(residentIDs(), []Policy{two, one})
	db, _ := whois("db")
	for packet, want := range map[string]string{
		"web db tcp/1":   "prod/one ingress[0], prod/two ingress[0]",
		"api db udp/1":   "prod/two ingress[0], prod/two ingress[2]",
		"world db udp/1": "prod/two ingress[2]",
		"world db tcp/1": "",
	} {
		var got []string
		for _, ref := range result.Explain.Why(query(t, packet))[Ingress].Admitting {
			got = append(got, ref.String())
		}
		if strings.Join(got, ", ") != want {
			t.Errorf("%s: admitted by %s, want %s", packet, got, want)
		}
	}
	for addr, want := range map[string]bool{"10.0.0.9": true, "10.0.1.9": false} {
		q := query(t, "api db udp/1")
		q.SrcAddr = netip.MustParseAddr(addr)
		block := RuleRef{Policy: PolicyRef{"prod", "one"}, Direction: Ingress, Index: 1}
		if got := result.Explain.Why(q)[Ingress].Admitting; slices.Contains(got, block) != want {
			t.Errorf("%s: admitted by %v", addr, got)
		}
	}
	want := []Isolation{{Policy: PolicyRef{"prod", "one"}}, {Policy: PolicyRef{"prod", "two"}}}
	if got := result.Explain.Isolating(db, Ingress); !slices.Equal(got, want) || result.Explain.Isolating(db, Egress) != nil {
		t.Errorf("isolating: %+v", got)
	}
	if result.Explain.Isolating(identity.World, Ingress) != nil {
		t.Error("something isolates the world")
	}
}

func TestAudit(t *testing.T) {
	result := Compile(residentIDs(), manyPolicies())
	before := result.Explain
	result.Audit(func(namespace string) bool { return namespace == "dev" })
	for _, name := range []string{"web", "devweb"} {
		id, _ := whois(name)
		entry, _ := result.Explain.Entry(id)
		if want := name == "devweb"; entry.Audit != want || result.Table.Identities[id] != entry {
			t.Errorf("%s: %+v, in the table %+v", name, entry, result.Table.Identities[id])
		}
		if entry, _ := before.Entry(id); entry.Audit {
			t.Errorf("%s was in audit mode before", name)
		}
	}
	more := to("more", "web")
	more.Namespace = "dev"
	delta, ok := result.Change(Diff{Policies: []Policy{more}})
	if !ok {
		t.Fatal("refused")
	}
	id, _ := whois("devweb")
	if entry, there := delta.Put.Identities[id]; !entry.Audit {
		t.Errorf("a change ends the audit mode: %+v, told %v", entry, there)
	}
}
