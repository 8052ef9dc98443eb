// Package prometheus runs Debian's Prometheus, and reads dashboards and alert rules, for tests.
package prometheus

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"

	"github.com/grafana/grafana-foundation-sdk/go/cog"
	"github.com/grafana/grafana-foundation-sdk/go/cog/plugins"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	query "github.com/grafana/grafana-foundation-sdk/go/prometheus"
)

// Panel is a panel of a dashboard that shows something.
type Panel struct {
	Row, Title, Kind, Unit string
	Grid                   dashboard.GridPos
	Targets                []Target
}

// Target is one expression of a panel.
type Target struct{ Expr, Legend string }

// LoadDashboard reads a dashboard as Grafana's schema has it: unknown fields,
// wrong types and values out of range are errors, in panels' own options and in
// queries, too.
func LoadDashboard(path string) (*dashboard.Dashboard, error) { //nolint:staticcheck // v2 is what only Grafana 12 and later read
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	plugins.RegisterDefaultPlugins()
	var wrong cog.BuildErrors // returned empty where nothing is wrong
	err = dashboard.NewDashboard().UnmarshalJSONStrict(raw)
	if err != nil && (!errors.As(err, &wrong) || len(wrong) > 0) {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	d := dashboard.NewDashboard() // the strict reading leaves out parts
	if err := json.Unmarshal(raw, d); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if err := d.Validate(); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return d, nil
}

// Panels gives the panels with their expressions.
func Panels(d *dashboard.Dashboard) (list []Panel) { //nolint:staticcheck // as above
	row := ""
	for _, p := range d.Panels {
		if p.RowPanel != nil {
			row = *p.RowPanel.Title
			continue
		}
		panel := Panel{Row: row, Title: *p.Panel.Title, Kind: p.Panel.Type, Grid: *p.Panel.GridPos}
		if c := p.Panel.FieldConfig; c != nil && c.Defaults.Unit != nil {
			panel.Unit = *c.Defaults.Unit
		}
		for _, t := range p.Panel.Targets {
			if q, ok := t.(*query.Dataquery); ok {
				panel.Targets = append(panel.Targets, newTarget(*q))
			} else if q, ok := t.(query.Dataquery); ok {
				panel.Targets = append(panel.Targets, newTarget(q))
			}
		}
		list = append(list, panel)
	}
	return list
}

func newTarget(q query.Dataquery) Target {
	t := Target{Expr: q.Expr}
	if q.LegendFormat != nil {
		t.Legend = *q.LegendFormat
	}
	return t
}

// comparison is one of two values: what an alert is about.
var comparison = regexp.MustCompile(` (==|!=|>=|<=|>|<) `)

// Whether gives an expression that tells, as 0 or 1, whether each comparison of
// an alert holds: it has a result where the alert's own has none.
func Whether(alert string) string { return comparison.ReplaceAllString(alert, " $1 bool ") }

// Concrete fills in Grafana's variables: all jobs, nodes and namespaces, and a
// range for rates.
func Concrete(expr, interval string) string {
	return strings.NewReplacer("$__rate_interval", interval, "$job", ".*", "$instance", ".*", "$namespace", ".*").Replace(expr)
}
