package measure

import (
	"bytes"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/signet-cni/signet/tests/bench/report"
)

func TestRunAlternates(t *testing.T) {
	var calls []string
	side := func(name string, value float64) Side {
		return func() (Sample, error) {
			calls = append(calls, name)
			return Sample{Values: []float64{value, 2 * value * value}, Bytes: 1e9}, nil
		}
	}
	c := Comparison{
		Metrics: []Metric{
			{Name: "first", Unit: "ms", Target: report.Target{AtMost: 2}},
			{Name: "second", Unit: "ms", Target: report.Target{AtMost: 2}},
		},
		Effort: Effort{Rounds: MinRounds},
		Signet: side("signet", 3), Base: side("base", 2),
	}
	rows, err := c.Run(&bytes.Buffer{})
	if err != nil || len(rows) != 2 {
		t.Fatalf("rows %v, error %v", rows, err)
	}
	if row := rows[1]; row.Case != "second" || row.Ratio != 2.25 || row.State != report.Missed {
		t.Errorf("%s: ratio %v, %s", row.Case, row.Ratio, row.State)
	}
	row := rows[0]
	if row.Ratio != 1.5 || row.Noise != 1 || row.State != report.Passed {
		t.Errorf("ratio %v, noise %v, %s", row.Ratio, row.Noise, row.State)
	}
	if len(calls) != 4*MinRounds {
		t.Fatalf("%d measurements", len(calls))
	}
	turns := calls[2*MinRounds:]
	if !slices.Equal(turns[:4], []string{"signet", "base", "base", "signet"}) {
		t.Errorf("turns were %v", turns)
	}
	if slices.Contains(calls[:2*MinRounds], "signet") {
		t.Error("the baseline was not compared with itself alone")
	}
}

// uneven gives 1, but the second of two what is given, so many times.
func uneven(values ...float64) Side {
	calls := 0
	return func() (Sample, error) {
		calls++
		value := 1.0
		if calls%4 == 2 || calls%4 == 3 { // the second side of either kind of round
			if i := (calls - 1) / 2 / MinRounds; i < len(values) {
				value = values[i]
			}
		}
		return Sample{Values: []float64{value}}, nil
	}
}

func TestRunSettles(t *testing.T) {
	for _, test := range []struct {
		name   string
		noise  []float64 // of each MinRounds
		rounds int
		state  report.State
	}{
		{"steady", nil, MinRounds, report.Passed},
		{"steady later", []float64{2}, 3 * MinRounds, report.Passed},
		{"never steady", []float64{2, 2, 2}, 3 * MinRounds, report.Noisy},
	} {
		measured := 0
		c := Comparison{
			Metrics: []Metric{{Name: test.name, Target: report.Target{AtMost: 1}}}, Effort: Effort{Rounds: MinRounds},
			Signet: func() (Sample, error) { measured++; return Sample{Values: []float64{1}}, nil },
			Base:   uneven(test.noise...),
		}
		rows, err := c.Run(&bytes.Buffer{})
		if err != nil {
			t.Fatal(err)
		}
		if measured != test.rounds || rows[0].State != test.state {
			t.Errorf("%s: %d rounds, %s; want %d, %s", test.name, measured, rows[0].State, test.rounds, test.state)
		}
	}
}

func TestRunDecides(t *testing.T) {
	for _, test := range []struct {
		name   string
		ratios []float64 // of a round each, again and again
		rounds int
		state  report.State
	}{
		{"clearly met", []float64{1.1, 1.2, 1.3}, MinRounds, report.Passed},
		{"clearly missed", []float64{0.7, 0.8, 0.9}, MinRounds, report.Missed},
		{"missed at first", append([]float64{0.9, 0.9, 0.9, 0.9}, slices.Repeat([]float64{1.1}, 10)...), 2 * MinRounds, report.Passed},
		{"met at first", append([]float64{1.1, 1.1, 1.1, 1.1}, slices.Repeat([]float64{0.9}, 17)...), 3 * MinRounds, report.Missed},
		{"never clear", []float64{0.9, 1.1}, 3 * MinRounds, report.Missed},
	} {
		measured := 0
		rows, err := Comparison{
			Metrics: []Metric{{Name: test.name, Target: report.Target{AtLeast: 1}}}, Effort: Effort{Rounds: MinRounds},
			Signet: func() (Sample, error) {
				measured++
				return Sample{Values: []float64{test.ratios[(measured-1)%len(test.ratios)]}}, nil
			},
			Base: func() (Sample, error) { return Sample{Values: []float64{1}}, nil },
		}.Run(&bytes.Buffer{})
		if err != nil {
			t.Fatal(err)
		}
		if measured != test.rounds || rows[0].State != test.state {
			t.Errorf("%s: %d rounds, %s; want %d, %s", test.name, measured, rows[0].State, test.rounds, test.state)
		}
	}
}

func TestRunEndsInTime(t *testing.T) {
	measured := 0
	unclear := func() (Sample, error) { measured++; return Sample{Values: []float64{float64(1 + measured%2)}}, nil }
	rows, err := Comparison{
		Metrics: []Metric{{Name: "case", Target: report.Target{AtMost: 1}}},
		Effort:  Effort{Rounds: MinRounds, Until: time.Now()},
		Signet:  unclear, Base: unclear,
	}.Run(&bytes.Buffer{})
	if err != nil || len(rows) != 1 || measured != 4*MinRounds {
		t.Errorf("%d measurements, want %d; rows %v, error %v", measured, 4*MinRounds, rows, err)
	}
}

func TestFirstHalf(t *testing.T) {
	e := Effort{Rounds: MinRounds, Until: time.Now().Add(time.Hour)}
	if left := time.Until(e.firstHalf().Until).Round(time.Minute); left != 30*time.Minute {
		t.Errorf("of an hour %v are for the first half", left)
	}
	if half := (Effort{Rounds: MinRounds}).firstHalf(); !half.Until.IsZero() {
		t.Errorf("half of all time ends at %v", half.Until)
	}
}

func TestRunRefuses(t *testing.T) {
	broken := errors.New("broken")
	one := []Metric{{Name: "case"}}
	bad := func() (Sample, error) { return Sample{}, broken }
	good := func() (Sample, error) { return Sample{Values: []float64{1}}, nil }
	if _, err := (Comparison{Metrics: one, Effort: Effort{Rounds: MinRounds - 1}, Signet: good, Base: good}).Run(&bytes.Buffer{}); err == nil {
		t.Error("too few rounds are enough")
	}
	if _, err := (Comparison{Metrics: one, Effort: Effort{Rounds: MinRounds}, Signet: bad, Base: good}).Run(&bytes.Buffer{}); !errors.Is(err, broken) {
		t.Errorf("the error is %v", err)
	}
	for _, values := range [][]float64{nil, {1, 1}, {0}, {-1}, {math.NaN()}, {math.Inf(1)}} {
		void := func() (Sample, error) { return Sample{Values: values}, nil }
		if _, err := (Comparison{Metrics: one, Effort: Effort{Rounds: MinRounds}, Signet: void, Base: good}).Run(&bytes.Buffer{}); err == nil {
			t.Errorf("Signet's side measured %v, and that is good enough", values)
		}
		if _, err := (Comparison{Metrics: one, Effort: Effort{Rounds: MinRounds}, Signet: good, Base: void}).Run(&bytes.Buffer{}); err == nil {
			t.Errorf("the baseline measured %v, and that is good enough", values)
		}
	}
}

func TestBusySeconds(t *testing.T) {
	before, err := busySeconds()
	if err != nil || before <= 0 {
		t.Fatalf("%v seconds, error %v", before, err)
	}
}

func TestProgress(t *testing.T) {
	var log bytes.Buffer
	m := meter{name: "case", w: &log, sides: [2]Side{uneven(), uneven()}}
	if err := m.run(1000); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(log.String()), "\n")
	if last := lines[len(lines)-1]; !strings.HasPrefix(last, "case, round 1000 of 1000: ") {
		t.Errorf("the last line is %q", last)
	}
	if first := lines[0]; !strings.HasPrefix(first, "case, round 1 of 1000: ") {
		t.Errorf("the first line is %q", first)
	}
	if len(lines) > 100 {
		t.Errorf("%d lines, want one a second", len(lines))
	}
}
