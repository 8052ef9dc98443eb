// Package measure compares two things by turns, so that whatever else the
// machine does hits both.
package measure

import (
	"fmt"
	"io"

	"github.com/signet-cni/signet/tests/bench/report"
)

// MinRounds is the least number of pairs that a comparison takes.
const MinRounds = 7

// Sample is one measurement.
type Sample struct {
	Value float64
	Bytes int64 // moved meanwhile; 0 where that says nothing
}

// Side measures one of the two things once.
type Side func() (Sample, error)

// Comparison is a case of a benchmark.
type Comparison struct {
	Name    string
	Against string // what the baseline is
	Unit    string
	Target  report.Target // of the ratio, Signet to baseline
	Rounds  int           // MinRounds at least
	Signet  Side
	Base    Side
}

// Run measures the baseline against itself, which tells how noisy the machine
// is, then Signet against the baseline, and says on w how far it is.
func (c Comparison) Run(w io.Writer) (report.Row, error) {
	if c.Rounds < MinRounds {
		return report.Row{}, fmt.Errorf("%s: %d rounds, want %d at least", c.Name, c.Rounds, MinRounds)
	}
	noise := meter{name: c.Name + ": baseline to itself", w: w, sides: [2]Side{c.Base, c.Base}}
	if err := noise.run(c.Rounds); err != nil {
		return report.Row{}, fmt.Errorf("%s: baseline: %w", c.Name, err)
	}
	m := meter{name: c.Name, w: w, sides: [2]Side{c.Signet, c.Base}}
	if err := m.run(c.Rounds); err != nil {
		return report.Row{}, fmt.Errorf("%s: %w", c.Name, err)
	}
	row := report.Of(c.Name, c.Against, c.Unit, c.Target, m.pairs)
	row.Noise = report.Of(c.Name, "", c.Unit, report.Target{}, noise.pairs).Ratio
	row.CPUPerGB, row.BaselineCPUPerGB = m.cost[0].perGB(), m.cost[1].perGB()
	return row.Judge(), nil
}

// meter measures two sides by turns.
type meter struct {
	name  string
	w     io.Writer
	sides [2]Side
	cost  [2]cost
	pairs []report.Pair
}

// run lets each side begin every other round.
func (m *meter) run(rounds int) error {
	for i := range rounds {
		var values [2]float64
		for _, which := range [2]int{i % 2, 1 - i%2} {
			sample, err := m.cost[which].of(m.sides[which])
			if err != nil {
				return fmt.Errorf("round %d: %w", i+1, err)
			}
			values[which] = sample.Value
		}
		pair := report.Pair{Figure: values[0], Baseline: values[1]}
		m.pairs = append(m.pairs, pair)
		fmt.Fprintf(m.w, "%s, round %d of %d: %.4g to %.4g, ratio %.3f\n",
			m.name, i+1, rounds, pair.Figure, pair.Baseline, pair.Ratio())
	}
	return nil
}
