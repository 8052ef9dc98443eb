package policy

import (
	"fmt"
	"strings"
	"testing"
)

func TestSummaries(t *testing.T) {
	both := to("web", "web", peers(Peer{Pods: sel("app=api")}))
	both.IsolatesEgress, both.Egress = true, []Rule{{Ports: []Port{{Protocol: UDP, First: 53, Last: 53}}}}
	result := Compile(residentIDs(), []Policy{to("nothing", "gone"), both})
	var lines []string
	for _, s := range result.Explain.Summaries() {
		lines = append(lines, fmt.Sprintf("%s %v selects %d", s.Policy, s.Isolates, len(s.Selects)))
		for _, r := range s.Rules {
			lines = append(lines, r.Rule.String()+": "+r.Text)
		}
	}
	want := []string{
		"prod/nothing [true false] selects 0", "prod/web [true true] selects 1",
		"prod/web ingress[0]: from pods with app=api in namespace prod on all ports",
		"prod/web egress[0]: to everybody on UDP 53",
	}
	if got := strings.Join(lines, "\n"); got != strings.Join(want, "\n") {
		t.Errorf("got:\n%s", got)
	}
}
