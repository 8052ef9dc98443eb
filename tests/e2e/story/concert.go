package story

import (
	_ "embed"

	"github.com/signet-cni/signet/tests/e2e/lab"
)

//go:embed concert.yaml
var concertPolicy string

// Concert is the example of make demo: a guest whom only security may meet,
// and who may only go backstage. Its first step is all that the demo shows.
func Concert(namespace string) *Story {
	return &Story{
		Name:       "concert",
		Namespaces: []lab.Namespace{{Name: namespace}},
		Pods: []*lab.Pod{
			server(namespace, "vip", lab.Worker, 80, 8080),
			server(namespace, "security", lab.Worker2, 80, 8080),
			server(namespace, "backend", lab.ControlPlane, 80, 8080),
			server(namespace, "stranger", lab.Worker2, 80, 8080),
		},
		Steps: []Step{{
			Title: "over TCP", Apply: concertPolicy, NoDNS: []string{"vip"},
			Table: `
			from      vip:80 vip:8080 security:80 security:8080 backend:80 backend:8080 stranger:80 stranger:8080
			vip       .      .        no          no            no         yes          no          no
			security  yes    no       .           .             yes        yes          yes         yes
			backend   no     no       yes         yes           .          .            yes         yes
			stranger  no     no       yes         yes           yes        yes          .           .
			`,
		}, {
			Title: "a rule for TCP admits no UDP", NoDNS: []string{"vip"},
			Table: `
			from      vip:80/UDP vip:8080/UDP backend:80/UDP backend:8080/UDP stranger:80/UDP
			vip       .          .            no             no               no
			security  no         no           yes            yes              yes
			backend   no         no           .              .                yes
			stranger  no         no           yes            yes              .
			`,
		}},
	}
}
