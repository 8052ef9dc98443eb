//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"github.com/signet-cni/signet/internal/api"
	"github.com/signet-cni/signet/internal/cli"
	"github.com/signet-cni/signet/internal/kube/agents"
	"github.com/signet-cni/signet/tests/e2e/lab"
	"github.com/signet-cni/signet/tests/e2e/story"
)

// signet runs the command on this machine, towards all nodes.
func signet(t *testing.T, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var out, errs bytes.Buffer
	if args[0] == cobra.ShellCompRequestCmd { // the last argument is what is completed
		args = slices.Insert(args, 1, "--context", cluster.Context)
	} else {
		args = append(args, "--context", cluster.Context)
	}
	code = cli.Run(ctx, args, cli.Env{
		Version: "e2e", Stdin: strings.NewReader(""), Stdout: &out, Stderr: &errs, Now: time.Now,
		Connect: func(c agents.Config) (cli.Cluster, error) { return agents.Connect(c) },
	})
	return out.String(), errs.String(), code
}

func wants(t *testing.T, what, got string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(got, part) {
			t.Errorf("%s: no %q in\n%s", what, part, got)
		}
	}
}

// TestExplain asks for flows, why, counters and a preview of the concert.
func TestExplain(t *testing.T) {
	s := story.Concert(prefix + "explain")
	create(t, s.Namespaces, s.Pods...)
	if err := s.Do(t.Context(), cluster, s.Steps[0]); err != nil {
		t.Fatal(err)
	}
	settle()
	rows, err := s.Rows(s.Steps[0])
	if err != nil {
		t.Fatal(err)
	}
	story.Try(t.Context(), cluster, rows)
	time.Sleep(time.Second)
	in := s.Namespaces[0].Name
	t.Run("flows", func(t *testing.T) { explainFlows(t, in) })
	t.Run("why", func(t *testing.T) { explainWhy(t, in) })
	t.Run("list", func(t *testing.T) {
		out, errs, code := signet(t, "policy", "list", "-n", in, "-o", "json")
		var answer cli.Answer[api.PolicyStatus]
		if err := json.Unmarshal([]byte(out), &answer); err != nil || code != 0 {
			t.Fatalf("exit code %d, %v: %s%s", code, err, out, errs)
		}
		hits := uint64(0)
		for _, p := range answer.Items {
			for _, r := range p.Rules {
				hits += r.Hits
			}
		}
		if hits == 0 {
			t.Errorf("no rule was ever matched: %s", out)
		}
	})
	t.Run("preview", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "policy.yaml")
		deny := "kind: NetworkPolicy\nmetadata: {name: deny, namespace: " + in + "}\nspec: {podSelector: {matchLabels: {role: backend}}}\n"
		if err := os.WriteFile(file, []byte(deny), 0o600); err != nil {
			t.Fatal(err)
		}
		out, errs, code := signet(t, "policy", "preview", "-f", file)
		if code != 0 {
			t.Fatalf("exit code %d: %s%s", code, out, errs)
		}
		wants(t, "preview", out, "isolated by "+in+"/deny", in+"/backend")
	})
}

func explainFlows(t *testing.T, in string) {
	out, errs, code := signet(t, "flows", "--last", "-1", "--namespace", in, "--verdict", "dropped", "-o", "json")
	if code != 0 {
		t.Fatalf("exit code %d: %s", code, errs)
	}
	named := 0
	err := api.ReadRecords(strings.NewReader(out), func(r api.Record) error {
		if r.Flow != nil && len(r.Policies) > 0 {
			named++
		} else if r.Flow != nil {
			t.Errorf("a drop that names no policy: %+v", *r.Flow)
		}
		return nil
	})
	if err != nil || named == 0 {
		t.Errorf("%d drops name their policies, %v", named, err)
	}
	admitted, _, _ := signet(t, "flows", "--last", "-1", "--namespace", in, "--verdict", "admitted")
	wants(t, "admitted", admitted, "security", "ingress[0]", "Service "+in+"/")
}

func explainWhy(t *testing.T, in string) {
	for _, c := range []struct{ from, to, verdict string }{
		{"security", "vip", api.Admitted}, {"stranger", "vip", api.Dropped}, {"vip", "stranger", api.Dropped}, {"stranger", "backend", api.Admitted},
	} {
		out, errs, code := signet(t, "policy", "why", "--from", in+"/"+c.from, "--to", in+"/"+c.to, "--port", "80")
		if code != 0 || strings.Contains(out, "DIFFERENCE") {
			t.Errorf("%s to %s: exit code %d: %s%s", c.from, c.to, code, out, errs)
		}
		wants(t, c.from+" to "+c.to, out, c.verdict+" ", "its kernel's maps say "+c.verdict)
	}
	out, _, _ := signet(t, "policy", "why", "--from", in+"/stranger", "--to", "service/"+in+"/vip", "--port", "80")
	wants(t, "by Service", out, "role=stranger, want role=security")
	if _, errs, code := signet(t, "policy", "why", "--from", in+"/gone", "--to", in+"/vip", "--port", "80"); code != 1 || !strings.Contains(errs, "endpoint list") {
		t.Errorf("an unknown pod: exit code %d: %s", code, errs)
	}
}

// TestMetrics reads each node's metrics as Prometheus on the node would.
func TestMetrics(t *testing.T) {
	for n, node := range cluster.Nodes {
		out, err := cluster.OnNode(t.Context(), n, "curl", "-sf", "http://127.0.0.1:9470/metrics")
		if err != nil {
			t.Fatalf("node %s: %v", node.Name, err)
		}
		wants(t, node.Name, out, "signet_ready 1\n", "signet_tunnel_peers 2\n", `signet_map_max_entries{map="flows"} 262144`,
			"signet_policy_compile_seconds_count ", "signet_tunnel_peer_handshake_age_seconds{peer=")
	}
}

// TestAuditMode opens what a policy denies, shows it, and closes it again.
func TestAuditMode(t *testing.T) {
	s := story.Concert(prefix + "audit")
	create(t, s.Namespaces, s.Pods...)
	if err := s.Do(t.Context(), cluster, s.Steps[0]); err != nil {
		t.Fatal(err)
	}
	in := s.Namespaces[0].Name
	pods := map[string]*lab.Pod{}
	for _, p := range s.Pods {
		pods[p.Name] = p
	}
	try := func(annotation string) lab.Result {
		if _, err := cluster.Run(t.Context(), "", "annotate", "namespace", in, "--overwrite", annotation); err != nil {
			t.Fatal(err)
		}
		settle()
		probe := lab.Probe{From: pods["stranger"], Host: pods["vip"].Addr.String(), Port: 80, Protocol: lab.TCP}
		return cluster.Try(t.Context(), []lab.Probe{probe})[0]
	}
	if r := try("signet-cni.io/audit=true"); r.Got != lab.Answer {
		t.Errorf("in audit mode: %v", r)
	}
	out, _, _ := signet(t, "flows", "--last", "-1", "--namespace", in, "--verdict", "audit")
	wants(t, "flows", out, "policy-ingress: isolated by "+in+"/")
	status, _, _ := signet(t, "status")
	wants(t, "status", status, "audit mode: what policies deny is admitted in namespace "+in, "signet flows --verdict audit")
	if r := try("signet-cni.io/audit=false"); r.Got == lab.Answer {
		t.Errorf("enforced again: %v", r)
	}
}
