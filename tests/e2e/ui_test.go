//go:build e2e

package e2e

import (
	"bufio"
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/signet-cni/signet/internal/api"
	"github.com/signet-cni/signet/internal/cli"
	"github.com/signet-cni/signet/internal/kube/agents"
	"github.com/signet-cni/signet/tests/browser"
	"github.com/signet-cni/signet/tests/e2e/lab"
	"github.com/signet-cni/signet/tests/e2e/story"
)

// startUI runs "signet ui" until the test ends and gives the page's address.
func startUI(t *testing.T) string {
	t.Helper()
	r, w := io.Pipe()
	ctx, cancel := context.WithCancel(t.Context())
	code := make(chan int, 1)
	go func() {
		code <- cli.Run(ctx, []string{"ui", "--listen", "127.0.0.1:0", "--context", cluster.Context}, cli.Env{
			Version: "e2e", Stdin: strings.NewReader(""), Stdout: w, Stderr: os.Stderr, Now: time.Now,
			Connect: func(c agents.Config) (cli.Cluster, error) { return agents.Connect(c) },
		})
		_ = w.Close() // cannot fail
	}()
	t.Cleanup(func() {
		cancel()
		if got := <-code; got != 0 {
			t.Errorf("signet ui: exit code %d", got)
		}
	})
	lines := bufio.NewScanner(r)
	if !lines.Scan() {
		t.Fatal("signet ui tells no address")
	}
	go func() { _, _ = io.Copy(io.Discard, r) }() // whatever else it says
	return strings.TrimPrefix(lines.Text(), "Open ")
}

// TestUI looks at the concert in a real browser.
func TestUI(t *testing.T) {
	s := story.Concert(prefix + "ui")
	create(t, s.Namespaces, s.Pods...)
	if err := s.Do(t.Context(), cluster, s.Steps[0]); err != nil {
		t.Fatal(err)
	}
	settle()
	in := s.Namespaces[0].Name
	pod := func(name string) string { return in + "/Pod/" + name }
	page := browser.FlowMap{Page: browser.Open(t, startUI(t), browser.Size{Width: 1440, Height: 900})}
	page.Live()
	for _, name := range []string{"vip", "security", "backend", "stranger"} {
		page.WaitWorkload(pod(name)) // before it ever spoke
	}
	page.Type("#filter", in)
	probe := func(from string, want lab.Outcome) {
		try(t, []lab.Probe{ask(s.Pod(from), s.Pod("vip"), 80, lab.TCP, want)})
	}
	probe("security", lab.Answer)
	probe("stranger", lab.Silence)
	page.WaitEdge(pod("security"), pod("vip"), api.Admitted)
	page.WaitEdge(pod("stranger"), pod("vip"), api.Dropped)
	if !page.Red(pod("stranger"), pod("vip"), api.Dropped) || page.Red(pod("security"), pod("vip"), api.Admitted) {
		t.Error("the denied flow is not red, or the admitted one is")
	}
	wants(t, "denied", page.Edge(pod("stranger"), pod("vip"), api.Dropped),
		"Denied", "TCP 80", "policy-ingress", in+"/vip", "no rule admits", "--from "+in+"/stranger --to "+in+"/vip --port 80/tcp")
	keepPicture(t, page, "ui-denied")
	wants(t, "admitted", page.Edge(pod("security"), pod("vip"), api.Admitted),
		"Admitted", in+"/vip", "ingress rule 0 admits it", "role=security")
	wants(t, "workload", page.Workload(pod("vip")), "role=vip", "IDENTITY", in+"/vip", "Isolates for ingress", "Isolates for egress", s.Pod("vip").Addr.String())
	keepPicture(t, page, "ui-workload")
}

// keepPicture writes a picture for the documentation, if somebody says where.
func keepPicture(t *testing.T, page browser.FlowMap, name string) {
	t.Helper()
	if dir := os.Getenv("SIGNET_SCREENSHOTS"); dir != "" {
		time.Sleep(time.Second) // the light of what changed goes out
		page.Screenshot(filepath.Join(dir, name+".png"))
	}
}
