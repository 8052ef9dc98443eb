package report

import (
	"math"
	"math/rand/v2"
	"slices"
)

// Median of an odd count is the middle one, of an even count the mean of both
// middle ones; NaN of none.
func Median(values []float64) float64 { return Percentile(values, 50) }

// Percentile interpolates between the two nearest ranks; percent is 0 to 100.
// It is NaN of no values.
func Percentile(values []float64, percent float64) float64 {
	if len(values) == 0 {
		return math.NaN()
	}
	sorted := slices.Sorted(slices.Values(values))
	at := percent / 100 * float64(len(sorted)-1)
	low := int(at)
	high := min(low+1, len(sorted)-1)
	return sorted[low] + (at-float64(low))*(sorted[high]-sorted[low])
}

const resamples = 2000

// interval is the 95 % bootstrap interval of the values' median. The same
// values give the same interval.
func interval(values []float64) (low, high float64) {
	if len(values) == 0 {
		return math.NaN(), math.NaN()
	}
	random := rand.New(rand.NewPCG(1, 2))
	medians := make([]float64, resamples)
	sample := make([]float64, len(values))
	for i := range medians {
		for j := range sample {
			sample[j] = values[random.IntN(len(values))]
		}
		medians[i] = Median(sample)
	}
	return Percentile(medians, 2.5), Percentile(medians, 97.5)
}
