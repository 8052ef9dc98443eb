package prometheus_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/signet-cni/signet/tests/prometheus"
)

const dashboard = "../../deploy/dashboards/signet.json"

// The dashboard is what Grafana's schema says.
func TestDashboardFollowsTheSchema(t *testing.T) {
	d, err := prometheus.LoadDashboard(dashboard)
	if err != nil {
		t.Fatal(err)
	}
	panels := prometheus.Panels(d)
	if len(panels) < 20 {
		t.Errorf("%d panels", len(panels))
	}
	ids := map[uint32]bool{}
	for _, p := range d.Panels {
		if p.Panel != nil && ids[*p.Panel.Id] {
			t.Errorf("two panels have the id %d", *p.Panel.Id)
		} else if p.Panel != nil {
			ids[*p.Panel.Id] = true
		}
	}
	for i, p := range panels {
		if len(p.Targets) == 0 {
			t.Errorf("panel %q asks for nothing", p.Title)
		}
		if p.Grid.X+p.Grid.W > 24 {
			t.Errorf("panel %q leaves the grid", p.Title)
		}
		for _, other := range panels[:i] {
			if p.Grid.X < other.Grid.X+other.Grid.W && other.Grid.X < p.Grid.X+p.Grid.W &&
				p.Grid.Y < other.Grid.Y+other.Grid.H && other.Grid.Y < p.Grid.Y+p.Grid.H {
				t.Errorf("panel %q lies on %q", p.Title, other.Title)
			}
		}
	}
}

// The check does find what the schema does not allow.
func TestSchemaCheckFindsErrors(t *testing.T) {
	good, err := os.ReadFile(dashboard)
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string][2]string{
		"an unknown field":           {`"graphTooltip": 1`, `"graphTooltips": 1`},
		"a wrong type":               {`"editable": true`, `"editable": "yes"`},
		"an unknown panel option":    {`"displayMode": "list"`, `"displayMode": "list", "colour": "red"`},
		"an unknown field of series": {`"lineWidth": 2`, `"lineWidht": 2`},
		"a typo in a query":          {`"legendFormat": "{{verdict}}"`, `"legend": "{{verdict}}"`},
	} {
		bad := strings.Replace(string(good), change[0], change[1], 1)
		path := filepath.Join(t.TempDir(), "bad.json")
		if err := os.WriteFile(path, []byte(bad), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := prometheus.LoadDashboard(path); err == nil || bad == string(good) {
			t.Errorf("%s passes", name)
		}
	}
}
