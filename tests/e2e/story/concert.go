package story

import (
	_ "embed"

	"github.com/signet-cni/signet/tests/e2e/lab"
)

//go:embed concert.yaml
var concertPolicy string

// Concert is the example of make demo: a guest whom only security may meet,
// and who may only go backstage.
func Concert() *Story {
	pod := func(name string, node int) *lab.Pod {
		return &lab.Pod{
			Namespace: "concert", Name: name, Node: node,
			Labels: map[string]string{"role": name}, Ports: []int{80, 8080},
		}
	}
	return &Story{
		Name:       "concert",
		Namespaces: []lab.Namespace{{Name: "concert"}},
		Pods: []*lab.Pod{
			pod("vip", lab.Worker), pod("security", lab.Worker2),
			pod("backend", lab.ControlPlane), pod("stranger", lab.Worker2),
		},
		Steps: []Step{{
			Title: "only security reaches the vip, and the vip only the backend",
			Apply: concertPolicy,
			NoDNS: []string{"vip"},
			Table: `
			from      vip:80 vip:8080 security:80 security:8080 backend:80 backend:8080 stranger:80 stranger:8080
			vip       .      .        no          no            no         yes          no          no
			security  yes    no       .           .             yes        yes          yes         yes
			backend   no     no       yes         yes           .          .            yes         yes
			stranger  no     no       yes         yes           yes        yes          .           .
			`,
		}},
	}
}
