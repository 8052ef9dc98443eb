package story

import (
	_ "embed"
	"fmt"
	"net/netip"
	"strings"

	"github.com/signet-cni/signet/tests/e2e/lab"
)

// All gives the stories that need nothing but pods. Their namespaces begin
// with a prefix.
func All(prefix string) []*Story {
	return []*Story{Concert(prefix + "concert"), namespaces(prefix), deny(prefix + "deny"), production(prefix + "production")}
}

//go:embed namespaces.yaml
var namespacesPolicy string

// namespaces has three of them: only the pods of green may reach those of
// blue, which may not even reach each other.
func namespaces(prefix string) *Story {
	blue, green, red := prefix+"blue", prefix+"green", prefix+"red"
	names := strings.NewReplacer("blue/", blue+"/", "green/", green+"/", "red/", red+"/")
	return &Story{
		Name:       "namespaces",
		Namespaces: []lab.Namespace{{Name: blue}, {Name: green, Labels: map[string]string{"team": "green"}}, {Name: red}},
		Pods: []*lab.Pod{
			server(blue, "api", lab.Worker, 80), server(blue, "job", lab.ControlPlane, 80),
			server(green, "web", lab.Worker2, 80), server(red, "spy", lab.Worker, 80),
		},
		Steps: []Step{{
			Title: "without a policy",
			Table: names.Replace(`
			from       blue/api:80 blue/job:80 green/web:80 red/spy:80
			blue/api   .           yes         yes          yes
			blue/job   yes         .           yes          yes
			green/web  yes         yes         .            yes
			red/spy    yes         yes         yes          .
			`),
		}, {
			Title: "only green reaches blue", Apply: namespacesPolicy,
			Table: names.Replace(`
			from       blue/api:80 blue/job:80 green/web:80 red/spy:80
			blue/api   .           no          yes          yes
			blue/job   no          .           yes          yes
			green/web  yes         yes         .            yes
			red/spy    no          no          yes          .
			`),
		}},
	}
}

//go:embed production.yaml
var productionPolicy string

// production has a backend that only its frontend may reach, on one port.
func production(namespace string) *Story {
	return &Story{
		Name:       "production",
		Namespaces: []lab.Namespace{{Name: namespace}},
		Pods: []*lab.Pod{
			server(namespace, "frontend", lab.Worker, 80), server(namespace, "backend", lab.Worker2, 8080, 9090),
			server(namespace, "batch", lab.Worker2, 80),
		},
		Steps: []Step{{
			Title: "frontend to backend on TCP 8080", Apply: productionPolicy,
			Table: `
			from      frontend:80 backend:8080 backend:9090 backend:8080/UDP batch:80
			frontend  .           yes          no           no               yes
			backend   yes         .            .            .                yes
			batch     yes         no           no           no               .
			`,
		}},
	}
}

//go:embed database.yaml
var databasePolicy string

// Database has one that only the API pods of its namespace and one host
// outside of the cluster may reach, and which reaches one backup server only.
func Database(prefix string, admin, backup netip.Addr) *Story {
	prod, dev := prefix+"prod", prefix+"dev"
	names := strings.NewReplacer("prod/", prod+"/", "dev/", dev+"/")
	return &Story{
		Name:       "database",
		Namespaces: []lab.Namespace{{Name: prod}, {Name: dev}},
		Pods: []*lab.Pod{
			server(prod, "db", lab.Worker, 3306, 80), server(prod, "api", lab.Worker2, 80),
			server(prod, "web", lab.ControlPlane, 80), server(dev, "api", lab.Worker2, 80),
		},
		Steps: []Step{{
			Title: "prod's API pods on 3306, an admin in, a backup out",
			Apply: fmt.Sprintf(databasePolicy, admin, backup), NoDNS: []string{"db"},
			Table: names.Replace(`
			from      prod/db:3306 prod/db:80 prod/db:3306/UDP prod/api:80 prod/web:80 dev/api:80
			prod/db   .            .          .                no          no          no
			prod/api  yes          no         no               .           yes         yes
			prod/web  no           no         no               yes         .           yes
			dev/api   no           no         no               yes         yes         .
			`),
		}},
	}
}
