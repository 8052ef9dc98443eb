package browser

import (
	"fmt"
	"strings"
)

// FlowMap is the page of "signet ui".
type FlowMap struct{ *Page }

// Live waits until the streams of all nodes are there.
func (m FlowMap) Live() {
	m.t.Helper()
	m.Wait(`document.querySelector("#status strong").textContent === "Live"`)
}

// edgeID names an edge as the page does.
func edgeID(from, to, verdict string) string { return from + " > " + to + " " + verdict }

// WaitEdge waits until an edge from one workload to another is drawn.
func (m FlowMap) WaitEdge(from, to, verdict string) {
	m.t.Helper()
	m.Wait(fmt.Sprintf("document.querySelector(%q)", fmt.Sprintf("[data-edge='%s'] .line", edgeID(from, to, verdict))))
}

// WaitWorkload waits until a workload is drawn.
func (m FlowMap) WaitWorkload(id string) {
	m.t.Helper()
	m.Wait(fmt.Sprintf("document.querySelector(%q)", fmt.Sprintf("[data-workload='%s']", id)))
}

// Red reports whether an edge is drawn in a colour that people call red.
func (m FlowMap) Red(from, to, verdict string) bool {
	m.t.Helper()
	line := fmt.Sprintf("[data-edge='%s'] .line", edgeID(from, to, verdict))
	colour := Eval[string](m.Page, fmt.Sprintf("getComputedStyle(document.querySelector(%q)).stroke", line))
	var r, g, b int
	if _, err := fmt.Sscanf(colour, "rgb(%d, %d, %d)", &r, &g, &b); err != nil {
		m.t.Fatalf("colour %q: %v", colour, err)
	}
	return r > 180 && r > 3*g/2 && r > 3*b/2
}

// Edge clicks on the label of an edge and gives what the panel then says.
func (m FlowMap) Edge(from, to, verdict string) string {
	m.t.Helper()
	m.Click(fmt.Sprintf("[data-label='%s']", edgeID(from, to, verdict)))
	return m.panel(`→`)
}

// Workload clicks on a workload and gives what the panel then says.
func (m FlowMap) Workload(id string) string {
	m.t.Helper()
	m.Click(fmt.Sprintf("[data-workload='%s']", id))
	return m.panel(id[strings.LastIndex(id, "/")+1:])
}

// panel gives the panel's text once its title has a part.
func (m FlowMap) panel(title string) string {
	m.t.Helper()
	m.Wait(fmt.Sprintf(`document.querySelector("#panel h2")?.textContent.includes(%q)`, title))
	return m.Text("#panel")
}
