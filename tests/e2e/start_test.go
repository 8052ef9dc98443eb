//go:build e2e

package e2e

import (
	_ "embed"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/signet-cni/signet/tests/e2e/lab"
)

var (
	//go:embed start.sh
	startScript string
	//go:embed enemy.sh
	enemyScript string
)

const (
	startWaves  = 12
	startGuards = 14 // pods of a wave that are guarded
	startOpen   = 4  // and that are not
	waveTime    = 2 * time.Minute
)

const guardManifest = `
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: guard, namespace: e2e-start}
spec:
  podSelector: {matchLabels: {kind: guarded}}
  policyTypes: [Ingress, Egress]
  ingress: [{from: [{podSelector: {matchLabels: {app: friend}}}]}]
  egress: [{to: [{podSelector: {matchLabels: {app: friend}}}]}]
`

// starter is a pod that hammers in an init container and again in its main
// one, and then ends.
const starter = `---
apiVersion: v1
kind: Pod
metadata: {name: %[1]s, namespace: e2e-start, labels: {kind: %[2]s, number: "%[1]s", wave: "%[6]d"}}
spec:
  nodeName: %[3]s
  restartPolicy: Never
  enableServiceLinks: false
  automountServiceAccountToken: false
  initContainers: [{name: init, image: %[4]s, command: &hammer %[5]s}]
  containers: [{name: main, image: %[4]s, command: *hammer}]
`

// siege is those around the pods that start.
type siege struct {
	friend  *lab.Pod
	enemies []*lab.Pod
	guarded int // containers that have ended as they have to
	open    int
}

// TestStart starts pods in waves, with labels that the cluster has not seen
// before, under clients that hammer every address that a pod can have. The
// pods hammer back from their init containers on. No guarded pod exchanges a
// packet with anybody but its friend; open ones show that all is heard.
func TestStart(t *testing.T) {
	s := besiege(t)
	began := time.Now()
	for wave := range startWaves {
		s.wave(t, wave)
	}
	for _, enemy := range s.enemies {
		// Udp: InDatagrams, of open pods, and NoPorts, of guarded ones.
		out, err := cluster.Exec(t.Context(), enemy.Namespace, enemy.Name, "", "awk",
			`$1 == "Udp:" && $2 ~ /^[0-9]/ { print ($2 > 0), $3 }`, "/proc/net/snmp")
		if err != nil || strings.TrimSpace(out) != "1 0" {
			t.Errorf("%s: heard of open pods, datagrams of guarded ones: %q, %v; want 1 0", enemy.Name, out, err)
		}
	}
	t.Logf("%d starts in %s: %d containers of guarded pods and %d of open ones as they have to be",
		startWaves*(startGuards+startOpen), time.Since(began).Round(time.Second), s.guarded, s.open)
}

func besiege(t *testing.T) *siege {
	s := &siege{friend: server("start", "friend", lab.Worker2)}
	command := []string{"bash", "-c", enemyScript, "enemy.sh"}
	for _, n := range cluster.Nodes[:lab.ControlPlane] {
		range24 := n.PodCIDR.Addr().String()
		command = append(command, range24[:strings.LastIndex(range24, ".")])
	}
	for i, node := range []int{lab.Worker, lab.Worker2} {
		s.enemies = append(s.enemies, &lab.Pod{
			Namespace: prefix + "start", Name: fmt.Sprintf("enemy-%d", i), Node: node,
			Labels: map[string]string{"app": "enemy"}, Command: command,
		})
	}
	create(t, alone("start"), append([]*lab.Pod{s.friend}, s.enemies...)...)
	apply(t, guardManifest)
	settle()
	spared := fmt.Sprint(s.friend.Addr, " ", s.enemies[0].Addr, " ", s.enemies[1].Addr)
	for _, enemy := range s.enemies {
		if _, err := cluster.Exec(t.Context(), enemy.Namespace, enemy.Name, spared, "tee", "/tmp/spared"); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// wave starts pods, awaits their end and reads what they say; it leaves before
// the kubelets have removed them.
func (s *siege) wave(t *testing.T, number int) {
	t.Helper()
	var manifest strings.Builder
	for i := range startGuards + startOpen {
		kind, port := "guarded", "7001"
		if i >= startGuards {
			kind, port = "open", "7002"
		}
		command := fmt.Sprintf("[bash, -c, %q, start.sh, %s, %q, %q, %q, %q]", startScript, kind, port,
			s.friend.Addr.String()+":80", s.enemies[0].Addr, s.enemies[1].Addr)
		fmt.Fprintf(&manifest, starter, fmt.Sprintf("%s-%d-%d", kind, number, i), kind, cluster.Nodes[i%2].Name, lab.Image,
			command, number)
	}
	apply(t, manifest.String())
	selector := fmt.Sprint("wave=", number)
	for deadline := time.Now().Add(waveTime); ; time.Sleep(time.Second) {
		pods := s.ended(t, selector)
		if len(pods) == startGuards+startOpen {
			s.judge(t, pods)
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("wave %d: %d of %d pods have ended after %s", number, len(pods), startGuards+startOpen, waveTime)
		}
	}
	kubectl(t, "delete", "pods", "-n", prefix+"start", "-l", selector, "--wait=false") // while the next ones start
}

// ended gives what the containers of pods that have ended said.
func (s *siege) ended(t *testing.T, selector string) map[string][]string {
	t.Helper()
	const message = `{.state.terminated.message}{"\t"}`
	out := kubectl(t, "get", "pods", "-n", prefix+"start", "-l", selector, "--field-selector", "status.phase=Succeeded", "-o",
		`jsonpath={range .items[*]}{.metadata.name}{"\t"}{range .status.initContainerStatuses[*]}`+message+
			`{end}{range .status.containerStatuses[*]}`+message+`{end}{"\n"}{end}`)
	pods := map[string][]string{}
	for line := range strings.Lines(out) {
		fields := strings.Split(strings.Trim(line, "\t\n"), "\t")
		pods[fields[0]] = fields[1:]
	}
	return pods
}

func (s *siege) judge(t *testing.T, pods map[string][]string) {
	t.Helper()
	for name, said := range pods {
		guarded := strings.HasPrefix(name, "guarded")
		for _, message := range said {
			want := "yes friend"
			if guarded {
				want = "no friend"
			}
			datagrams, rest, _ := strings.Cut(message, " ")
			switch {
			case rest != want || (datagrams == "0") != guarded:
				t.Errorf("%s: %s datagrams of enemies, then %q; want %q", name, datagrams, rest, want)
			case guarded:
				s.guarded++
			default:
				s.open++
			}
		}
		if len(said) != 2 {
			t.Errorf("%s said %q, want a message of each of two containers", name, said)
		}
	}
}
