package main

import (
	"fmt"
	"io"
	"slices"

	"golang.org/x/sys/unix"
)

// results are what one run measured, by turns.
type results struct {
	Case      string `json:"case"`
	Unit      string `json:"unit"`
	WireGuard string `json:"wireguard"` // kernel or userspace
	Kernel    string `json:"kernel"`
	Pairs     []pair `json:"pairs"`
	// Ratio is the median of the pairs' ratios, Signet to bare.
	Ratio float64 `json:"ratio"`
}

// pair is one round.
type pair struct {
	Bare   float64 `json:"bare"`
	Signet float64 `json:"signet"`
}

func (p pair) ratio() float64 { return p.Signet / p.Bare }

// side is what is measured.
type side int

const (
	bare side = iota
	signet
)

// order lets each side begin every other round.
func order(round int) [2]side {
	if round%2 == 0 {
		return [2]side{bare, signet}
	}
	return [2]side{signet, bare}
}

// print also fills in the ratio.
func (r *results) print(w io.Writer) {
	r.Ratio = median(r.Pairs, pair.ratio)
	fmt.Fprintf(w, "%s over %s WireGuard, Linux %s, %d rounds: bare %.2f, Signet %.2f %s (medians); ratio %.3f (median of ratios)\n",
		r.Case, r.WireGuard, r.Kernel, len(r.Pairs),
		median(r.Pairs, func(p pair) float64 { return p.Bare }),
		median(r.Pairs, func(p pair) float64 { return p.Signet }), r.Unit, r.Ratio)
}

// median of an odd count is the middle one, of an even count the mean of both.
func median(pairs []pair, value func(pair) float64) float64 {
	values := make([]float64, 0, len(pairs))
	for _, p := range pairs {
		values = append(values, value(p))
	}
	slices.Sort(values)
	middle := len(values) / 2
	if len(values)%2 == 1 {
		return values[middle]
	}
	return (values[middle-1] + values[middle]) / 2
}

func kernel() string {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return "unknown"
	}
	return unix.ByteSliceToString(u.Release[:])
}
