package main

import "testing"

func TestMedian(t *testing.T) {
	for _, test := range []struct {
		ratios []float64
		want   float64
	}{
		{[]float64{3}, 3},
		{[]float64{5, 1, 3}, 3},
		{[]float64{4, 1, 2, 9}, 3},
	} {
		var pairs []pair
		for _, r := range test.ratios {
			pairs = append(pairs, pair{Bare: 2, Signet: 2 * r})
		}
		if got := median(pairs, pair.ratio); got != test.want {
			t.Errorf("median of %v is %v, want %v", test.ratios, got, test.want)
		}
	}
}

func TestOrderAlternates(t *testing.T) {
	if order(0) == order(1) || order(0) != order(2) {
		t.Errorf("orders %v, %v, %v", order(0), order(1), order(2))
	}
}
