package prometheus

import (
	_ "embed"
	"html/template"
	"maps"
	"math"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

//go:embed panels.html
var panelsPage string

// chart is a panel as the page draws it.
type chart struct {
	Panel
	Value string // of a stat
	Lines []line
	Top   string // value of the upper edge
}

type line struct {
	Name, Last, Points, Colour string
}

// past is what the charts show.
const past = 3 * time.Minute

// ServePanels serves a page that draws a dashboard's panels from a Prometheus,
// with the layout and titles that the dashboard gives them. It is for pictures
// where no Grafana is at hand.
func ServePanels(t testing.TB, server *Server, panels []Panel, interval string) string {
	t.Helper()
	page := template.Must(template.New("panels").Parse(panelsPage))
	charts := make([]chart, 0, len(panels))
	for _, p := range panels {
		c, err := server.chart(p, interval)
		if err != nil {
			t.Fatal(err)
		}
		charts = append(charts, c)
	}
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if err := page.Execute(w, charts); err != nil {
			t.Error(err)
		}
	}))
	t.Cleanup(web.Close)
	return web.URL
}

func (s *Server) chart(p Panel, interval string) (chart, error) {
	c := chart{Panel: p}
	var all []Series
	for _, target := range p.Targets {
		list, err := s.Range(Concrete(target.Expr, interval), past, 2*time.Second)
		if err != nil {
			return c, err
		}
		for _, series := range list {
			series.Metric["__name__"] = legend(target.Legend, series.Metric)
			all = append(all, series)
		}
	}
	slices.SortStableFunc(all, func(a, b Series) int { return strings.Compare(a.Metric["__name__"], b.Metric["__name__"]) })
	top := 0.0
	for _, series := range all {
		for _, point := range series.Points {
			if !math.IsNaN(point.Value) {
				top = max(top, point.Value)
			}
		}
	}
	c.Top = inUnit(top, p.Unit)
	for i, series := range all {
		c.Lines = append(c.Lines, newLine(series, i, top, p.Unit))
	}
	if p.Kind == "stat" && len(all) > 0 {
		c.Value = inUnit(all[0].last(), p.Unit)
	}
	return c, nil
}

func (s Series) last() float64 {
	for _, point := range slices.Backward(s.Points) {
		if !math.IsNaN(point.Value) {
			return point.Value
		}
	}
	return 0
}

var named = map[string]string{"admitted": "#3f9b4f", "dropped": "#d0342c", "audit": "#d98b1f", "forwarded": "#3b78c2"}

var palette = []string{"#3f9b4f", "#d9a441", "#3b78c2", "#c2583b", "#7d55b5", "#2a9d9d", "#b5558f", "#7a8450", "#5b6475", "#a06b35"}

// newLine draws a series into a box of 100 by 100.
func newLine(s Series, i int, top float64, unit string) line {
	l := line{Name: s.Metric["__name__"], Last: inUnit(s.last(), unit), Colour: palette[i%len(palette)]}
	if colour, ok := named[l.Name]; ok {
		l.Colour = colour
	}
	end := time.Now()
	var points []string
	for _, point := range s.Points {
		if math.IsNaN(point.Value) {
			continue
		}
		x := 100 * (1 - end.Sub(point.Time).Seconds()/past.Seconds())
		y := 100 - 92*point.Value/max(top, 1e-12)
		points = append(points, trim(x, 2)+","+trim(y, 2))
	}
	l.Points = strings.Join(points, " ")
	return l
}

var placeholder = regexp.MustCompile(`{{\s*(\w+)\s*}}`)

// legend fills in a series' labels, or lists them.
func legend(format string, labels map[string]string) string {
	if format != "" {
		return placeholder.ReplaceAllStringFunc(format, func(s string) string {
			return labels[placeholder.FindStringSubmatch(s)[1]]
		})
	}
	return strings.Join(slices.Sorted(maps.Values(labels)), " ")
}
