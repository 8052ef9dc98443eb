//go:build e2e

package e2e

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/signet-cni/signet/internal/api"
	"github.com/signet-cni/signet/internal/cli"
	"github.com/signet-cni/signet/internal/kube/agents"
	"github.com/signet-cni/signet/tests/e2e/lab"
	"github.com/signet-cni/signet/tests/e2e/story"
)

// concert makes the demo's pods and puts their policies in force.
func concert(t *testing.T, name string) (in string, pods map[string]*lab.Pod) {
	t.Helper()
	s := story.Concert(prefix + name)
	create(t, s.Namespaces, s.Pods...)
	if err := s.Do(t.Context(), cluster, s.Steps[0]); err != nil {
		t.Fatal(err)
	}
	settle()
	pods = map[string]*lab.Pod{}
	for _, p := range s.Pods {
		pods[p.Name] = p
	}
	return s.Namespaces[0].Name, pods
}

// TestCommands runs every command that lists something, in words and in JSON.
func TestCommands(t *testing.T) {
	in, pods := concert(t, "commands")
	for _, c := range []struct {
		args []string
		want []string
	}{
		{[]string{"status"}, []string{"SUBSYSTEMS", "3 of 3 nodes ready", " ok "}},
		{[]string{"status", "--node", cluster.Nodes[0].Name}, []string{"Audit mode:", "Kernel tables:", "hooks ok", "Peers:", "WireGuard"}},
		{[]string{"endpoint", "list", "-n", in}, []string{in, "vip", pods["vip"].Addr.String()}},
		{[]string{"endpoint", "list", "-n", in, "-o", "wide"}, []string{"role=vip"}},
		{[]string{"identity", "list", "-n", in}, []string{"role=security"}},
		{[]string{"identity", "top"}, []string{"LABEL", "SPARED"}},
		{[]string{"service", "list", "-n", in}, []string{"vip", pods["vip"].Service.String()}},
		{[]string{"policy", "list", "-n", in}, []string{"POLICY", in + "/", "ingress[0]"}},
		{[]string{"version"}, []string{"signet e2e"}},
		{[]string{"completion", "bash"}, []string{"__start_signet"}},
		{[]string{"__complete", "flows", "--pod", in + "/v"}, []string{in + "/vip\n"}},
		{[]string{"__complete", "status", "--node", ""}, []string{cluster.Nodes[0].Name}},
	} {
		out, errs, code := signet(t, c.args...)
		if code != 0 || errs != "" && !strings.HasPrefix(c.args[0], "__") {
			t.Errorf("%q: exit code %d: %s", c.args, code, errs)
		}
		wants(t, strings.Join(c.args, " "), out, c.want...)
	}
	out, _, _ := signet(t, "identity", "list", "-n", in, "-o", "json")
	var known cli.Answer[api.Identity]
	if err := json.Unmarshal([]byte(out), &known); err != nil || len(known.Items) != 4 {
		t.Fatalf("%d identities, want 4: %v", len(known.Items), err)
	}
	shown, _, _ := signet(t, "identity", "show", known.Items[0].ID.String())
	wants(t, "identity show", shown, "Namespace:", in+"/")
}

// following is a "flows -f" that runs towards all nodes.
type following struct {
	lines chan string
	stop  context.CancelFunc
	code  chan int
	errs  *bytes.Buffer
}

func follow(t *testing.T, args ...string) *following {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	r, w := io.Pipe()
	f := &following{lines: make(chan string, 1000), stop: cancel, code: make(chan int, 1), errs: &bytes.Buffer{}}
	go func() {
		f.code <- cli.Run(ctx, append([]string{"flows", "-f", "--context", cluster.Context}, args...), cli.Env{
			Version: "e2e", Stdin: strings.NewReader(""), Stdout: w, Stderr: f.errs, Now: time.Now,
			Connect: func(c agents.Config) (cli.Cluster, error) { return agents.Connect(c) },
		})
		_ = w.Close() // cannot fail
	}()
	go func() {
		defer close(f.lines)
		for scan := bufio.NewScanner(r); scan.Scan(); {
			f.lines <- scan.Text()
		}
	}()
	return f
}

// next gives the next flow that is wanted.
func (f *following) next(t *testing.T, wanted func(api.Flow) bool) api.Flow {
	t.Helper()
	deadline := time.After(time.Minute)
	for {
		select {
		case line := <-f.lines:
			var record api.Record
			if err := json.Unmarshal([]byte(line), &record); err != nil {
				t.Fatalf("%v: %q", err, line)
			}
			if record.Flow != nil && wanted(*record.Flow) {
				return *record.Flow
			}
		case <-deadline:
			t.Fatal("the flow does not come")
		}
	}
}

// TestFollow sees a flow of another node as it happens, with all that there is
// to say, judged again when the policy changes, and its end.
func TestFollow(t *testing.T) {
	in, pods := concert(t, "follow")
	f := follow(t, "--last", "0", "--namespace", in, "-o", "json")
	time.Sleep(3 * time.Second)
	live, err := cluster.Watch(t.Context(), lab.Live, pods["security"], pods["vip"], 80)
	if err != nil {
		t.Fatal(err)
	}
	defer live.Stop()
	first := f.next(t, func(f api.Flow) bool { return f.Verdict == api.Admitted && f.Dst.Pod == "vip" && f.Src.Namespace == in })
	t.Logf("shown %s after the packet", time.Since(first.Time).Round(time.Millisecond))
	if first.Node != cluster.Nodes[lab.Worker].Name || first.Direction != api.Ingress || first.Src.Pod != "security" ||
		first.Src.Labels["role"] != "security" || first.Dst.Labels["role"] != "vip" || first.Src.Addr != pods["security"].Addr ||
		first.Dst.Port != 80 || first.Src.Port == 0 || first.Protocol != "TCP" || first.TCPFlags != "SYN" || first.Src.Identity == 0 ||
		len(first.Policies) == 0 || len(first.Policies[0].Rules) == 0 || first.Again {
		t.Errorf("the first packet: %+v", first)
	}
	apply(t, fmt.Sprintf(moreManifest, in))
	again := f.next(t, func(f api.Flow) bool { return f.Again && f.Node == first.Node && f.Verdict == api.Admitted })
	if again.Revision == first.Revision || again.Src.Port != first.Src.Port && again.Dst.Port != first.Src.Port {
		t.Errorf("judged again: %+v", again)
	}
	live.Stop()
	ended := f.next(t, func(f api.Flow) bool { return f.Verdict == api.Over && f.Src.Port == first.Src.Port && f.Ended != nil })
	if ended.Ended.Sent.Packets < 3 || ended.Ended.Answered.Bytes == 0 {
		t.Errorf("ended: %+v", ended.Ended)
	}
	f.stop()
	if code := <-f.code; code != 0 {
		t.Errorf("exit code %d: %s", code, f.errs)
	}
}

// moreManifest changes the policies and nothing of what they admit.
const moreManifest = `
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: more, namespace: %s}
spec:
  podSelector: {matchLabels: {role: vip}}
  ingress:
  - from: [{podSelector: {matchLabels: {role: nobody}}}]
`

// TestFilters asks for the same drop in every way, and in ways that it does
// not fit.
func TestFilters(t *testing.T) {
	in, pods := concert(t, "filters")
	probe := lab.Probe{From: pods["stranger"], Host: pods["vip"].Addr.String(), Port: 80, Protocol: lab.TCP, Want: lab.Silence}
	try(t, []lab.Probe{probe})
	base := []string{"flows", "--last", "-1", "-n", in, "--verdict", "dropped"}
	all, errs, code := signet(t, append(base, "-o", "json")...)
	var drop *api.Flow
	err := api.ReadRecords(strings.NewReader(all), func(r api.Record) error { drop = r.Flow; return nil })
	if code != 0 || err != nil || drop == nil || len(drop.Policies) == 0 {
		t.Fatalf("exit code %d, %v: %s%s", code, err, all, errs)
	}
	policy := drop.Policies[0].Namespace + "/" + drop.Policies[0].Name
	for _, c := range []struct {
		filter []string
		fits   bool
	}{
		{[]string{"--pod", in + "/vip"}, true},
		{[]string{"--pod", in + "/security"}, false},
		{[]string{"--label", "role=stranger"}, true},
		{[]string{"--label", "role=none"}, false},
		{[]string{"--identity", drop.Src.Identity.String()}, true},
		{[]string{"--identity", "world"}, false},
		{[]string{"--port", "80"}, true},
		{[]string{"--port", "81"}, false},
		{[]string{"--policy", policy}, true},
		{[]string{"--policy", in + "/other"}, false},
		{[]string{"--since", "5m"}, true},
		{[]string{"--since", "1ms"}, false},
		{[]string{"--reason", "policy-ingress"}, true},
		{[]string{"--protocol", "udp"}, false},
	} {
		out, errs, code := signet(t, append(base, c.filter...)...)
		if found := strings.Contains(out, "stranger"); code != 0 || found != c.fits {
			t.Errorf("%q: found %t, want %t; exit code %d: %s", c.filter, found, c.fits, code, errs)
		}
	}
	compact, _, _ := signet(t, base...)
	wants(t, "compact", compact, "dropped", "policy-ingress: isolated by "+policy)
	wide, _, _ := signet(t, append(base, "-o", "wide")...)
	wants(t, "wide", wide, "ingress", "from_overlay", "role=stranger", "bytes", "policy revision")
	if strings.Contains(compact+wide, "\x1b[") {
		t.Error("colours without a terminal")
	}
}

// TestVerdictLog asks for a namespace's denied verdicts in the agents' logs.
func TestVerdictLog(t *testing.T) {
	in, pods := concert(t, "log")
	kubectl(t, "annotate", "namespace", in, "signet-cni.io/log=denied")
	settle()
	try(t, []lab.Probe{{From: pods["stranger"], Host: pods["vip"].Addr.String(), Port: 80, Protocol: lab.TCP, Want: lab.Silence}})
	agent, err := cluster.Agent(t.Context(), lab.Worker)
	if err != nil {
		t.Fatal(err)
	}
	log := kubectl(t, "logs", "-n", lab.SignetNamespace, agent, "-c", "agent", "--since=2m")
	for line := range strings.Lines(log) {
		if strings.Contains(line, `"msg":"verdict"`) && strings.Contains(line, in) && strings.Contains(line, `"policy-ingress"`) {
			return
		}
	}
	t.Errorf("no verdict of %s in the log of %s", in, agent)
}

// TestKubectl runs the binary as kubectl's plugin, and kubectl completes for it.
func TestKubectl(t *testing.T) {
	dir := t.TempDir()
	build := exec.CommandContext(t.Context(), "go", "build", "-o", filepath.Join(dir, "kubectl-signet"), "../../cmd/signet")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if err := os.Symlink("kubectl-signet", filepath.Join(dir, "kubectl_complete-signet")); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"signet", "status", "--context", cluster.Context}, "3 of 3 nodes ready"},
		{[]string{"signet", "policy", "why", "--help"}, "kubectl signet policy why [flags]"},
		{[]string{"__complete", "signet", "--context", cluster.Context, "status", "--node", ""}, cluster.Nodes[0].Name},
	} {
		out, err := exec.CommandContext(t.Context(), "kubectl", c.args...).Output()
		if err != nil || !strings.Contains(string(out), c.want) {
			t.Errorf("kubectl %q: %v: no %q in\n%s", c.args, err, c.want, out)
		}
	}
}
