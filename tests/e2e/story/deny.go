package story

import (
	_ "embed"

	"github.com/signet-cni/signet/tests/e2e/lab"
)

// The policies of deny, one a step.
var (
	//go:embed deny-all.yaml
	denyAll string
	//go:embed deny-but-dns.yaml
	denyButDNS string
	//go:embed deny-ingress.yaml
	denyIngress string
	//go:embed deny-egress.yaml
	denyEgress string
	//go:embed deny-overlap.yaml
	denyOverlap string
)

// The tables of deny.
const (
	denyTableOpen = `
		from   web:80 db:80 other:80
		web    .      yes   yes
		db     yes    .     yes
		other  yes    yes   .
		`
	denyTableClosed = `
		from   web:80 db:80 other:80
		web    .      no    no
		db     no     .     no
		other  no     no    .
		`
	denyTableOneWay = `
		from   web:80 db:80 other:80
		web    .      yes   no
		db     no     .     no
		other  no     no    .
		`
)

// deny closes a namespace and opens one way through it step by step, past the
// three mistakes that people make.
func deny(namespace string) *Story {
	return &Story{
		Name:       "deny",
		Namespaces: []lab.Namespace{{Name: namespace}},
		Pods: []*lab.Pod{
			server(namespace, "web", lab.Worker, 80), server(namespace, "db", lab.Worker2, 80),
			server(namespace, "other", lab.ControlPlane, 80),
		},
		Steps: []Step{
			{Title: "mistake 1: without a policy everything is open", Table: denyTableOpen},
			{
				Title: "deny everything", Apply: denyAll, Table: denyTableClosed,
				NoDNS: []string{"web", "db", "other"},
			},
			{Title: "names resolve again", Apply: denyButDNS, Table: denyTableClosed},
			{Title: "mistake 2: ingress alone opens nothing", Apply: denyIngress, Table: denyTableClosed},
			{Title: "egress as well opens it", Apply: denyEgress, Table: denyTableOneWay},
			{Title: "mistake 3: a narrower policy takes nothing away", Apply: denyOverlap, Table: denyTableOneWay},
		},
	}
}
