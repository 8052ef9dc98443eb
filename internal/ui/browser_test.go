package ui_test

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/signet-cni/signet/internal/api"
	"github.com/signet-cni/signet/internal/flowmap"
	"github.com/signet-cni/signet/internal/ui"
	"github.com/signet-cni/signet/tests/browser"
)

var desktop = browser.Size{Width: 1440, Height: 900}

// serve serves a map until the test ends, and gives the page's address.
func serve(t *testing.T, flows *flowmap.Map) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	token := ui.NewToken()
	server := ui.New(flows, ui.Info{Cluster: "kind-signet", Version: "v0.1.0"}, token, l.Addr())
	done := make(chan error, 1)
	go func() { done <- server.Serve(t.Context(), l) }()
	t.Cleanup(func() {
		if err := <-done; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	return "http://" + l.Addr().String() + "/#" + token
}

func open(t *testing.T, flows *flowmap.Map) browser.FlowMap {
	t.Helper()
	return browser.FlowMap{Page: browser.Open(t, serve(t, flows), desktop)}
}

// keep writes a picture for people to look at, if somebody says where.
func keep(t *testing.T, p browser.FlowMap, name string) {
	t.Helper()
	if dir := os.Getenv("SIGNET_SCREENSHOTS"); dir != "" {
		time.Sleep(time.Second) // the light of what changed goes out
		p.Screenshot(filepath.Join(dir, name+".png"))
	}
}

func wants(t *testing.T, what, got string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(got, part) {
			t.Errorf("%s: no %q in\n%s", what, part, got)
		}
	}
}

// count gives how many elements a CSS selector finds.
func count(p browser.FlowMap, selector string) int {
	return browser.Eval[int](p.Page, `document.querySelectorAll("`+selector+`").length`)
}

const (
	vip      = "concert/Pod/vip"
	security = "concert/Pod/security"
	stranger = "concert/Pod/stranger"
	backend  = "concert/Pod/backend"
)

// The concert as it was recorded on a cluster.
func TestRecordedConcert(t *testing.T) {
	p := open(t, concert(t))
	p.Live()
	for _, id := range []string{vip, security, stranger, backend} {
		p.WaitWorkload(id)
	}
	p.WaitEdge(stranger, vip, api.Dropped)
	p.WaitEdge(security, vip, api.Admitted)
	if !p.Red(stranger, vip, api.Dropped) || p.Red(security, vip, api.Admitted) {
		t.Error("the denied flow is not red, or the admitted one is")
	}
	keep(t, p, "concert")
	wants(t, "denied", p.Edge(stranger, vip, api.Dropped), "Denied", "policy-ingress", "concert/vip", "isolates the receiver",
		"signet policy why --from concert/stranger --to concert/vip --port")
	keep(t, p, "concert-denied")
	wants(t, "admitted", p.Edge(security, vip, api.Admitted), "ingress rule 0 admits it", "role=security", "TCP 80")
	wants(t, "workload", p.Workload(vip), "role=vip", "concert/vip", "Isolates for ingress", "10.244.", "FLOWS TO IT")
	keep(t, p, "concert-workload")
	p.Click("#theme")
	keep(t, p, "concert-dark")
}

func TestFilterLegendAndList(t *testing.T) {
	p := open(t, concert(t))
	p.Live()
	p.WaitEdge(stranger, vip, api.Dropped)
	p.Click("#legend .dropped")
	if n := count(p, ".edge.dropped"); n != 0 {
		t.Errorf("%d denied edges although the legend hides them", n)
	}
	p.Click("#legend .dropped")
	p.Type("#filter", "stranger vip denied")
	p.Wait(`document.querySelectorAll(".edge").length === document.querySelectorAll(".edge.dropped").length`)
	if n := count(p, ".node"); n != 2 {
		t.Errorf("%d workloads, want the two of the flow", n)
	}
	p.Click("#show-list")
	wants(t, "list", p.Text("#list"), "Denied", "concert/stranger", "concert/vip", "policy-ingress")
	p.Type("#filter", " -vip")
	p.Wait(`document.querySelector("#list").textContent.includes("No flows")`)
}

// Everything can be reached and opened without a pointer.
func TestKeyboard(t *testing.T) {
	p := open(t, concert(t))
	p.Live()
	p.WaitEdge(stranger, vip, api.Dropped)
	press := func(key string) { p.Press(key) }
	browser.Eval[any](p.Page, `document.querySelector("[data-edge='`+stranger+" > "+vip+` dropped']").focus()`)
	press("Enter")
	p.Wait(`document.querySelector("#panel h2")?.textContent === "concert/stranger → concert/vip"`)
	if at := browser.Eval[string](p.Page, "document.activeElement.id"); at != "panel" {
		t.Errorf("the details do not get the focus, %q has it", at)
	}
	press("Escape")
	p.Wait(`document.querySelector("#panel").hidden`)
	press("/")
	p.Wait(`document.activeElement.id === "filter"`)
	if nameless := count(p, ".node:not([aria-label]), .edge:not([aria-label])"); nameless != 0 {
		t.Errorf("%d parts of the map have no name", nameless)
	}
}

func TestPause(t *testing.T) {
	m := shop(4)
	p := open(t, m)
	p.Live()
	p.Click("#pause")
	p.Wait(`document.querySelector("#status strong").textContent === "Paused"`)
	before := count(p, ".edge")
	m.Add(sampleFlow())
	p.Wait(`document.querySelector("#status").textContent.includes("1 verdict since the pause")`)
	if after := count(p, ".edge"); after != before {
		t.Errorf("%d edges, %d before the pause", after, before)
	}
	p.Click("#pause")
	p.Wait(`document.querySelectorAll(".edge.audit").length === 1`)
}

// What is missing is told, and what there is stays.
func TestPartial(t *testing.T) {
	m := shop(4)
	m.SetNode("worker-2", flowmap.Failed, "its agent does not run (pod signet-x is Pending)")
	m.AddLost("worker-1", flowmap.Lost{TooFast: 12345, Suppressed: 7})
	p := open(t, m)
	p.Wait(`document.querySelector("#status strong").textContent === "Partial"`)
	wants(t, "notices", p.Text("#notices"), "node worker-2 is missing", "signet-x is Pending", "Flows of node worker-1 are missing", "12.3K came faster", "7 are drops over the rate limit")
	if count(p, ".node") == 0 {
		t.Error("nothing is shown")
	}
	keep(t, p, "partial")
	m.SetNode("worker-2", flowmap.Live, "")
	p.Live()
}

func TestEmpty(t *testing.T) {
	m := flowmap.New()
	p := open(t, m)
	p.Wait(`document.querySelector("#empty").textContent.includes("Asking the agents")`)
	m.SetNode("worker-1", flowmap.Live, "")
	p.Wait(`document.querySelector("#empty").textContent.includes("no pods")`)
	keep(t, p, "empty")
	m.SetNode("worker-1", flowmap.Failed, "no answer")
	p.Wait(`document.querySelector("#empty").textContent.includes("No agent answers")`)
}

func TestWrongToken(t *testing.T) {
	address, _, _ := strings.Cut(serve(t, flowmap.New()), "#")
	p := browser.FlowMap{Page: browser.Open(t, address+"#guess", desktop)}
	p.Wait(`document.querySelector("#notices").textContent.includes("No access")`)
}

// Whatever the cluster calls things, it stays text. The page would complain of
// what its policy refuses.
func TestHostileNames(t *testing.T) {
	m := shop(4)
	f := sampleFlow()
	const evil = `<img src=x onerror="document.title='owned'"><script>document.title='owned'</script>`
	f.Src.Namespace, f.Src.Pod, f.Src.Identity = evil, evil, 77
	f.Src.Labels = map[string]string{evil: evil, "app": `"><svg onload=alert(1)>`}
	f.Reason, f.ReasonText, f.Node, f.ServiceName = evil, evil, evil, evil
	f.Policies = []api.PolicyPart{{Namespace: evil, Name: evil, Direction: evil}}
	m.Add(f)
	m.SetNode(evil, flowmap.Failed, evil)
	p := open(t, m)
	p.Wait(`document.querySelectorAll(".edge.audit").length === 1`)
	p.Click(".pill.audit")
	wants(t, "panel", p.Text("#panel"), evil)
	p.Click("#show-list")
	wants(t, "list", p.Text("#list"), evil)
	if n := count(p, "#map script, #map img, #panel img, #panel script, #list img, #notices img"); n != 0 || browser.Eval[string](p.Page, "document.title") == "owned" {
		t.Errorf("%d elements came out of names", n)
	}
}

// Fifty workloads are drawn beside each other, none on another.
func TestManyWorkloads(t *testing.T) {
	p := open(t, shop(50))
	p.Live()
	p.Wait(`document.querySelectorAll(".node").length === 51`)
	overlaps := browser.Eval[int](p.Page, `(() => {
		const cards = [...document.querySelectorAll(".node .card")].map((c) => c.getBoundingClientRect());
		return cards.filter((a, i) => cards.some((b, j) => j > i && a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom)).length;
	})()`)
	outside := browser.Eval[int](p.Page, `[...document.querySelectorAll(".node .card")].map((c) => c.getBoundingClientRect())
		.filter((c) => c.left < 0 || c.top < 0 || c.right > innerWidth || c.bottom > innerHeight).length`)
	if overlaps > 0 || outside > 0 {
		t.Errorf("%d workloads lie on others, %d out of sight", overlaps, outside)
	}
	keep(t, p, "fifty")
}
