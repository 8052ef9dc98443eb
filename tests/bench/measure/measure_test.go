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
			return Sample{Value: value, Bytes: 1e9}, nil
		}
	}
	c := Comparison{
		Name: "case", Unit: "ms", Target: report.Target{AtMost: 2}, Rounds: MinRounds,
		Signet: side("signet", 3), Base: side("base", 2),
	}
	row, err := c.Run(&bytes.Buffer{})
	if err != nil {
		t.Fatal(err)
	}
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
	bad := func() (Sample, error) { return Sample{}, broken }
	good := func() (Sample, error) { return Sample{Value: 1}, nil }
	if _, err := (Comparison{Rounds: MinRounds - 1, Signet: good, Base: good}).Run(&bytes.Buffer{}); err == nil {
		t.Error("too few rounds are enough")
	}
	if _, err := (Comparison{Rounds: MinRounds, Signet: bad, Base: good}).Run(&bytes.Buffer{}); !errors.Is(err, broken) {
		t.Errorf("the error is %v", err)
	}
}

func TestBusySeconds(t *testing.T) {
	before, err := busySeconds()
	if err != nil || before <= 0 {
		t.Fatalf("%v seconds, error %v", before, err)
	}
}
