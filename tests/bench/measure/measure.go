// Package measure compares two things by turns, so that whatever else the
// machine does hits both.
package measure

import (
	"fmt"
	"io"
	"math"
	"time"

	"github.com/signet-cni/signet/tests/bench/report"
)

// MinRounds is the least number of pairs that a comparison takes.
const MinRounds = 7

// patience is how many times as many rounds a comparison may take while its
// baseline differs from itself, or while its rounds do not tell whether the
// target is met.
const patience = 3

// Sample is one measurement.
type Sample struct {
	Values []float64 // one for each Metric, above 0
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

// Effort bounds how many pairs a comparison takes.
type Effort struct {
	Rounds int       // MinRounds at least, patience times as many at most
	Until  time.Time // from then on no more than Rounds; zero: no such time
}

// Times is so many times as many rounds, for samples that vary more.
func (e Effort) Times(n int) Effort {
	e.Rounds *= n
	return e
}

// firstHalf leaves half of the time that is left, for as many rounds again.
func (e Effort) firstHalf() Effort {
	if !e.Until.IsZero() {
		e.Until = e.Until.Add(-time.Until(e.Until) / 2)
	}
	return e
}

// more is how many rounds to take after so many.
func (e Effort) more(done int) int {
	if !e.Until.IsZero() && time.Now().After(e.Until) {
		return 0
	}
	return min(e.Rounds, patience*e.Rounds-done)
}

// Comparison is a case of a benchmark.
type Comparison struct {
	Metrics []Metric
	Against string // what the baseline is
	Effort
	Signet Side
	Base   Side
}

// Run measures the baseline against itself, which tells how noisy the machine
// is, then Signet against the baseline, and says on w how far it is. On a noisy
// machine both take more rounds. Signet's also do while a target lies within the
// interval of its ratio, whichever side of it the ratio is on. It gives a row for
// each metric.
func (c Comparison) Run(w io.Writer) ([]report.Row, error) {
	name := c.Metrics[0].Name
	if c.Rounds < MinRounds {
		return nil, fmt.Errorf("%s: %d rounds, want %d at least", name, c.Rounds, MinRounds)
	}
	noise := meter{name: name + ": baseline to itself", w: w, sides: [2]Side{c.checked(c.Base), c.checked(c.Base)}}
	settling := c
	settling.Effort = c.firstHalf()
	if err := settling.take(&noise, c.Rounds, c.steady); err != nil {
		return nil, fmt.Errorf("%s: baseline: %w", name, err)
	}
	m := meter{name: name, w: w, sides: [2]Side{c.checked(c.Signet), c.checked(c.Base)}}
	if err := c.take(&m, len(noise.rounds), c.decided); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	var rows []report.Row
	for i := range c.Metrics {
		row := c.row(&m, i)
		row.Noise = noise.ratio(i)
		row.CPUPerGB, row.BaselineCPUPerGB = m.cost[0].perGB(), m.cost[1].perGB()
		rows = append(rows, row.Judge())
	}
	return rows, nil
}

// checked gives the side with an error for what no ratio can be made of, such
// as a connection that carried nothing.
func (c Comparison) checked(side Side) Side {
	return func() (Sample, error) {
		sample, err := side()
		if err != nil {
			return Sample{}, err
		}
		if len(sample.Values) != len(c.Metrics) {
			return Sample{}, fmt.Errorf("measured %v, want %d values", sample.Values, len(c.Metrics))
		}
		for i, value := range sample.Values {
			if !(value > 0) || math.IsInf(value, 1) {
				return Sample{}, fmt.Errorf("%s: measured %v %s, want more than 0", c.Metrics[i].Name, value, c.Metrics[i].Unit)
			}
		}
		return sample, nil
	}
}

// take measures so many rounds, and goes on until they are enough, or patience
// ends.
func (c Comparison) take(m *meter, rounds int, enough func(*meter) bool) error {
	for more := rounds; more > 0; more = c.more(len(m.rounds)) {
		if err := m.run(more); err != nil {
			return err
		}
		if enough(m) {
			return nil
		}
	}
	return nil
}

// steady says of the baseline, measured against itself, whether it is like
// itself in all metrics.
func (c Comparison) steady(noise *meter) bool {
	for i := range c.Metrics {
		if report.TooNoisy(noise.ratio(i)) {
			return false
		}
	}
	return true
}

// decided says whether the rounds tell for all metrics if the target is met.
func (c Comparison) decided(m *meter) bool {
	for i := range c.Metrics {
		if c.row(m, i).Open() {
			return false
		}
	}
	return true
}

func (c Comparison) row(m *meter, metric int) report.Row {
	of := c.Metrics[metric]
	return report.Of(of.Name, c.Against, of.Unit, of.Target, m.pairs(metric))
}

// progressEvery is the least time between two lines about progress.
const progressEvery = time.Second

// meter measures two sides by turns.
type meter struct {
	name   string
	w      io.Writer
	told   time.Time // last line about progress
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
		m.tell(i+1, rounds, samples)
	}
	return nil
}

// tell writes how far it is, if the last such line was a while ago or all rounds
// are done.
func (m *meter) tell(done, rounds int, samples [2]Sample) {
	if done < rounds && time.Since(m.told) < progressEvery {
		return
	}
	m.told = time.Now()
	fmt.Fprintf(m.w, "%s, round %d of %d: %.4g to %.4g\n", m.name, done, rounds, samples[0].Values, samples[1].Values)
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
