package measure

import (
	"bytes"
	"errors"
	"slices"
	"testing"

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
		Rounds: MinRounds,
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

func TestRunRefuses(t *testing.T) {
	broken := errors.New("broken")
	one := []Metric{{Name: "case"}}
	bad := func() (Sample, error) { return Sample{}, broken }
	good := func() (Sample, error) { return Sample{Values: []float64{1}}, nil }
	if _, err := (Comparison{Metrics: one, Rounds: MinRounds - 1, Signet: good, Base: good}).Run(&bytes.Buffer{}); err == nil {
		t.Error("too few rounds are enough")
	}
	if _, err := (Comparison{Metrics: one, Rounds: MinRounds, Signet: bad, Base: good}).Run(&bytes.Buffer{}); !errors.Is(err, broken) {
		t.Errorf("the error is %v", err)
	}
}

func TestBusySeconds(t *testing.T) {
	before, err := busySeconds()
	if err != nil || before <= 0 {
		t.Fatalf("%v seconds, error %v", before, err)
	}
}
