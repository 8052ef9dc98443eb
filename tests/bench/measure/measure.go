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

// patience is how many times as many rounds a comparison may take while its
// baseline differs from itself.
const patience = 3

// Sample is one measurement.
type Sample struct {
	Values []float64 // one for each Metric
	Bytes  int64     // moved meanwhile; 0 where that says nothing
}

// Metric is what one of a sample's values means, a row of the report.
type Metric struct {
	Name   string
	Unit   string
	Target report.Target // of the ratio, Signet to baseline
}

// Side measures one of the two things once.
type Side func() (Sample, error)

// Comparison is a case of a benchmark.
type Comparison struct {
	Metrics []Metric
	Against string // what the baseline is
	Rounds  int    // MinRounds at least
	Signet  Side
	Base    Side
}

// Run measures the baseline against itself, which tells how noisy the machine
// is, then Signet against the baseline, and says on w how far it is. On a noisy
// machine both take more rounds: how many is settled before Signet is measured.
// It gives a row for each metric.
func (c Comparison) Run(w io.Writer) ([]report.Row, error) {
	name := c.Metrics[0].Name
	if c.Rounds < MinRounds {
		return nil, fmt.Errorf("%s: %d rounds, want %d at least", name, c.Rounds, MinRounds)
	}
	noise := meter{name: name + ": baseline to itself", w: w, sides: [2]Side{c.Base, c.Base}}
	if err := c.settle(&noise); err != nil {
		return nil, fmt.Errorf("%s: baseline: %w", name, err)
	}
	m := meter{name: name, w: w, sides: [2]Side{c.Signet, c.Base}}
	if err := m.run(len(noise.rounds)); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	var rows []report.Row
	for i, metric := range c.Metrics {
		row := report.Of(metric.Name, c.Against, metric.Unit, metric.Target, m.pairs(i))
		row.Noise = noise.ratio(i)
		row.CPUPerGB, row.BaselineCPUPerGB = m.cost[0].perGB(), m.cost[1].perGB()
		rows = append(rows, row.Judge())
	}
	return rows, nil
}

// settle measures the baseline against itself until it is like itself in all
// metrics, or patience ends.
func (c Comparison) settle(noise *meter) error {
	for range patience {
		if err := noise.run(c.Rounds); err != nil {
			return err
		}
		if c.steady(noise) {
			return nil
		}
	}
	return nil
}

func (c Comparison) steady(noise *meter) bool {
	for i := range c.Metrics {
		if report.TooNoisy(noise.ratio(i)) {
			return false
		}
	}
	return true
}

// meter measures two sides by turns.
type meter struct {
	name   string
	w      io.Writer
	sides  [2]Side
	cost   [2]cost
	rounds [][2]Sample
}

// run lets each side begin every other round, so many rounds more.
func (m *meter) run(rounds int) error {
	rounds += len(m.rounds)
	for i := len(m.rounds); i < rounds; i++ {
		var samples [2]Sample
		for _, which := range [2]int{i % 2, 1 - i%2} {
			sample, err := m.cost[which].of(m.sides[which])
			if err != nil {
				return fmt.Errorf("round %d: %w", i+1, err)
			}
			samples[which] = sample
		}
		m.rounds = append(m.rounds, samples)
		fmt.Fprintf(m.w, "%s, round %d of %d: %.4g to %.4g\n", m.name, i+1, rounds, samples[0].Values, samples[1].Values)
	}
	return nil
}

// ratio is one metric's median over all rounds, of the first side to the second.
func (m *meter) ratio(metric int) float64 {
	return report.Of("", "", "", report.Target{}, m.pairs(metric)).Ratio
}

// pairs gives one metric of all rounds.
func (m *meter) pairs(metric int) (pairs []report.Pair) {
	for _, samples := range m.rounds {
		pairs = append(pairs, report.Pair{Figure: samples[0].Values[metric], Baseline: samples[1].Values[metric]})
	}
	return pairs
}
