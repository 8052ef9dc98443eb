// Package report holds what benchmarks found: rows with a figure, what it was
// compared with, and whether the target was met; as a table and as JSON.
package report

import (
	"fmt"
	"math"
)

// State says what a row is worth.
type State string

// The states of a row.
const (
	Passed   State = "pass"
	Missed   State = "missed"
	Noisy    State = "too noisy" // the baseline differs from itself
	Reported State = "reported"  // there is no target
)

// Target bounds a row's ratio, or its figure where there is no baseline.
type Target struct {
	AtMost  float64 `json:"atMost,omitempty"`  // 0: no such bound
	AtLeast float64 `json:"atLeast,omitempty"` // 0: no such bound
}

// String is the target as a table shows it.
func (t Target) String() string {
	switch {
	case t.AtMost != 0:
		return fmt.Sprintf("<= %.4g", t.AtMost)
	case t.AtLeast != 0:
		return fmt.Sprintf(">= %.4g", t.AtLeast)
	}
	return ""
}

func (t Target) met(value float64) bool {
	return !math.IsNaN(value) && !math.IsInf(value, 0) && (t.AtMost == 0 || value <= t.AtMost) && (t.AtLeast == 0 || value >= t.AtLeast)
}

// within says whether a bound of the target lies between low and high, which
// values on either side of it do.
func (t Target) within(low, high float64) bool {
	return t != Target{} && t.met(low) != t.met(high)
}

// Pair is one round: both sides, measured one after the other.
type Pair struct {
	Figure   float64 `json:"figure"`
	Baseline float64 `json:"baseline"`
}

// Ratio is the figure's to the baseline.
func (p Pair) Ratio() float64 { return p.Figure / p.Baseline }

// Row is one line of a report.
type Row struct {
	Case     string  `json:"case"`
	Against  string  `json:"against,omitempty"` // what the baseline is
	Unit     string  `json:"unit"`
	Figure   float64 `json:"figure"`             // Signet's, a median
	Baseline float64 `json:"baseline,omitempty"` // the other's, a median; 0: none
	// Ratio is the median of the pairs' ratios, between Low and High with 95 %
	// confidence; 0 without a baseline.
	Ratio float64 `json:"ratio,omitempty"`
	Low   float64 `json:"ratioLow,omitempty"`
	High  float64 `json:"ratioHigh,omitempty"`
	// Noise is the baseline's ratio to itself, measured first; 0: not measured.
	Noise  float64 `json:"noise,omitempty"`
	Target Target  `json:"target"`
	State  State   `json:"state"`
	Pass   bool    `json:"pass"` // met its target, or has none
	// CPU seconds of the whole machine for each gigabyte moved; 0: nothing was.
	CPUPerGB         float64 `json:"cpuSecondsPerGB,omitempty"`
	BaselineCPUPerGB float64 `json:"baselineCPUSecondsPerGB,omitempty"`
	Load             float64 `json:"load"`            // load average of the last minute, at the end
	Awake            bool    `json:"processorsAwake"` // they were kept from sleeping
	Pairs            []Pair  `json:"pairs,omitempty"`
}

// The baseline may differ from itself by this much.
const (
	noiseLow  = 0.95
	noiseHigh = 1.05
)

// TooNoisy says of the baseline's ratio to itself whether that leaves nothing to
// compare with.
func TooNoisy(ratio float64) bool { return !(ratio >= noiseLow && ratio <= noiseHigh) }

// Of makes a row of rounds.
func Of(name, against, unit string, target Target, pairs []Pair) Row {
	ratios := each(pairs, Pair.Ratio)
	r := Row{
		Case: name, Against: against, Unit: unit, Target: target, Pairs: pairs,
		Figure:   Median(each(pairs, func(p Pair) float64 { return p.Figure })),
		Baseline: Median(each(pairs, func(p Pair) float64 { return p.Baseline })),
		Ratio:    Median(ratios),
	}
	r.Low, r.High = interval(ratios)
	return r.Judge()
}

// Open says that the target of the ratio lies within its interval, so that more
// rounds may turn the row's state.
func (r Row) Open() bool { return r.Target.within(r.Low, r.High) }

// Single makes a row of a figure that has nothing to be compared with.
func Single(name, unit string, figure float64, target Target) Row {
	return Row{Case: name, Unit: unit, Figure: figure, Target: target}.Judge()
}

// Judge fills in State, Pass and Load from the rest.
func (r Row) Judge() Row {
	value := r.Ratio
	if len(r.Pairs) == 0 {
		value = r.Figure
	}
	switch {
	case r.Noise != 0 && TooNoisy(r.Noise):
		r.State = Noisy
	case r.Target == Target{}:
		r.State = Reported
	case r.Target.met(value):
		r.State = Passed
	default:
		r.State = Missed
	}
	r.Pass = r.State == Passed || r.State == Reported
	r.Load = load()
	return r
}

func each[T any](list []T, value func(T) float64) []float64 {
	values := make([]float64, 0, len(list))
	for _, item := range list {
		values = append(values, value(item))
	}
	return values
}
