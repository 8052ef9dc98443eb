package policy

import (
	"fmt"
	"strings"
	"testing"

	"github.com/signet-cni/signet/identity"
)

// bearings gives what is said of a packet's ingress, a line a policy or rule.
func bearings(t *testing.T, policies []Policy, packet string) string {
	t.Helper()
	ids := residentIDs()
	result := Compile(ids, policies)
	var lines []string
	for _, b := range result.Explain.Bearings(query(t, packet), Ingress, ids) {
		lines = append(lines, fmt.Sprintf("%s isolates=%v %s", b.Policy.Name, b.Isolates, b.Because))
		for _, r := range b.Rules {
			lines = append(lines, fmt.Sprintf("  [%d] %s: %v %s", r.Rule.Index, r.Text, r.Admits, strings.Join(r.Misses, "; ")))
		}
	}
	return strings.Join(lines, "\n")
}

func TestBearings(t *testing.T) {
	http := ports(Port{Protocol: TCP, First: 80, Last: 80}, Port{Protocol: TCP, First: 90, Last: 99}, Port{Protocol: UDP, Name: "dns"})
	web := to("web", "web", peers(Peer{Pods: sel("app=api")}), peers(Peer{Namespaces: sel("env=dev"), Pods: sel("tier=x")}, block("10.9.0.0/16")), http)
	db := to("db", "db")
	for _, c := range []struct{ packet, want string }{
		{"api web tcp/80", `
db isolates=false has label app=web, want app=db
web isolates=true 
  [0] from pods with app=api in namespace prod on all ports: true 
  [1] from pods with tier=x in namespaces with env=dev or block 10.9.0.0/16 on all ports: false its namespace has label env=prod, want env=dev; the address is not in block 10.9.0.0/16
  [2] from everybody on TCP 80,90-99 and UDP dns: true `},
		{"world web tcp/8080", `
db isolates=false has label app=web, want app=db
web isolates=true 
  [0] from pods with app=api in namespace prod on all ports: false the other end is no pod
  [1] from pods with tier=x in namespaces with env=dev or block 10.9.0.0/16 on all ports: false the other end is no pod; the address is not in block 10.9.0.0/16
  [2] from everybody on TCP 80,90-99 and UDP dns: false it is for TCP 80,90-99 and UDP dns`},
		{"devweb web tcp/8080", `
db isolates=false has label app=web, want app=db
web isolates=true 
  [0] from pods with app=api in namespace prod on all ports: false the other end is in namespace dev, want prod
  [1] from pods with tier=x in namespaces with env=dev or block 10.9.0.0/16 on all ports: false it has no label tier, want tier=x; the address is not in block 10.9.0.0/16
  [2] from everybody on TCP 80,90-99 and UDP dns: false it is for TCP 80,90-99 and UDP dns`},
		{"web world tcp/80", ""},
	} {
		if got := bearings(t, []Policy{web, db}, c.packet); got != strings.TrimPrefix(c.want, "\n") {
			t.Errorf("%s:\n%s\nwant:%s", c.packet, got, c.want)
		}
	}
}

// A key that was ignored when the identity was made leaves it open.
func TestBearingsOfUnclearSubjects(t *testing.T) {
	set := identity.NewSet("prod", nil, map[string]string{"app": "web", "pod-template-hash": "x"}, identity.DefaultIgnore())
	ids := map[identity.ID]identity.Set{1000: set}
	p := to("p", "web", Rule{})
	p.Subjects = *sel("pod-template-hash=x")
	result := Compile(ids, []Policy{p})
	got := result.Explain.Bearings(Query{Src: 1000, Dst: 1000}, Ingress, ids)
	if len(got) != 1 || !got[0].Unclear || !strings.Contains(got[0].Because, "leaves open") {
		t.Errorf("got %+v", got)
	}
}
