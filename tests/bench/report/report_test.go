package report

import (
	"bytes"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestPercentile(t *testing.T) {
	for _, test := range []struct {
		values  []float64
		percent float64
		want    float64
	}{
		{[]float64{3}, 50, 3},
		{[]float64{5, 1, 3}, 50, 3},
		{[]float64{4, 1, 2, 9}, 50, 3},
		{[]float64{4, 1, 2, 9}, 100, 9},
		{[]float64{4, 1, 2, 9}, 0, 1},
		{[]float64{0, 10}, 99, 9.9},
	} {
		if got := Percentile(test.values, test.percent); math.Abs(got-test.want) > 1e-9 {
			t.Errorf("percentile %v of %v is %v, want %v", test.percent, test.values, got, test.want)
		}
	}
	if !math.IsNaN(Median(nil)) {
		t.Error("the median of nothing is a number")
	}
}

func TestInterval(t *testing.T) {
	low, high := interval([]float64{1, 1, 1, 1, 1, 1, 1})
	if low != 1 || high != 1 {
		t.Errorf("interval of equal values is %v to %v", low, high)
	}
	low, high = interval([]float64{0.9, 1.1, 1, 0.95, 1.05, 1.02, 0.98})
	if low < 0.9 || low >= 1 || high <= 1 || high > 1.1 {
		t.Errorf("interval is %v to %v", low, high)
	}
}

func pairs(ratios ...float64) (list []Pair) {
	for _, r := range ratios {
		list = append(list, Pair{Figure: 2 * r, Baseline: 2})
	}
	return list
}

func TestState(t *testing.T) {
	noisy := Of("noisy", "", "ns", Target{AtMost: 2}, pairs(1, 1, 1))
	noisy.Noise = 1.2
	untold := noisy
	untold.Noise = math.NaN()
	still := []Pair{{Figure: 4, Baseline: 0}, {Figure: 4, Baseline: 0}}
	for _, test := range []struct {
		row  Row
		want State
	}{
		{Of("at least", "", "Gbit/s", Target{AtLeast: 1}, pairs(0.9, 1, 1.2)), Passed},
		{Of("at least", "", "Gbit/s", Target{AtLeast: 1}, pairs(0.9, 0.99, 1.2)), Missed},
		{Of("at most", "", "ms", Target{AtMost: 1.05}, pairs(1.05)), Passed},
		{Of("at most", "", "ms", Target{AtMost: 1.05}, pairs(1.06)), Missed},
		{Of("nothing", "", "ms", Target{AtMost: 1}, nil), Missed},
		{Of("no target", "", "ms", Target{}, pairs(7)), Reported},
		{Single("figure", "writes", 5, Target{AtMost: 5}), Passed},
		{Single("figure", "writes", 6, Target{AtMost: 5}), Missed},
		{Single("endless", "Gbit/s", math.Inf(1), Target{AtLeast: 1}), Missed},
		{noisy.Judge(), Noisy},
		{untold.Judge(), Noisy},
		{Of("baseline of nothing", "bare", "Gbit/s", Target{AtLeast: 1}, still), Missed},
		{Of("both of nothing", "bare", "Gbit/s", Target{AtLeast: 1}, make([]Pair, 2)), Missed},
	} {
		if test.row.State != test.want || test.row.Pass != (test.want == Passed || test.want == Reported) {
			t.Errorf("%s, ratio %v: %s, pass %v, want %s", test.row.Case, test.row.Ratio, test.row.State, test.row.Pass, test.want)
		}
	}
}

func TestOpen(t *testing.T) {
	wide := pairs(0.9, 0.9, 0.95, 1, 1.05, 1.1, 1.1)
	for _, test := range []struct {
		target Target
		want   bool
	}{
		{Target{}, false},
		{Target{AtLeast: 1}, true},
		{Target{AtMost: 1}, true},
		{Target{AtLeast: 0.98}, true},
		{Target{AtMost: 1.5}, false},
		{Target{AtMost: 0.5}, false},
		{Target{AtLeast: 0.5}, false},
		{Target{AtLeast: 1.5}, false},
	} {
		if got := Of("open", "", "ms", test.target, wide).Open(); got != test.want {
			t.Errorf("target %v: open %v", test.target, got)
		}
	}
}

func TestReport(t *testing.T) {
	r := New()
	r.Add(Of("tcp", "bare", "Gbit/s", Target{AtLeast: 1}, pairs(0.5, 0.6, 0.7)), Single("size", "MB", 12, Target{}))
	var out bytes.Buffer
	if err := r.Print(&out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"tcp", "0.6", ">= 1", "missed", "size", "reported"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
	if err := r.Err(); err == nil || !strings.Contains(err.Error(), "tcp: missed") || strings.Contains(err.Error(), "size") {
		t.Errorf("the report's error is %v", err)
	}
	path := filepath.Join(t.TempDir(), "deep", "results.json")
	if err := r.Save(path); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var read Report
	if err := json.Unmarshal(data, &read); err != nil || len(read.Rows) != 2 || read.Rows[0].Ratio != 0.6 {
		t.Errorf("saved %s, error %v", data, err)
	}
}
