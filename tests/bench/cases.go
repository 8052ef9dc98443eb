package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/signet-cni/signet/tests/bench/report"
)

// benchmark is one name that CASE may have; it gives one row or several.
type benchmark struct {
	name    string
	measure func(*lab) ([]report.Row, error)
	// least is what it takes on two processors with as few rounds as there may be.
	least time.Duration
	// asleep lets processors sleep meanwhile.
	asleep bool
}

// benchmarks in the order in which they run.
var benchmarks = []benchmark{
	{name: "tcp", measure: measureTCP, least: 55 * time.Second},
	{name: "vxlan", measure: measureVXLAN, least: 28 * time.Second},
	{name: "udp", measure: measureUDP, least: 80 * time.Second},
	{name: "latency", measure: measureLatency, least: 18 * time.Second},
	{name: "latency-asleep", measure: measureLatencyAsleep, least: 25 * time.Second, asleep: true},
	{name: "connections", measure: measureConnections, least: 20 * time.Second},
	{name: "local", measure: measureLocal, least: 55 * time.Second},
	{name: "service", measure: measureService, least: 82 * time.Second},
	{name: "verdict", measure: measureVerdict, least: 9 * time.Second},
	{name: "filters", measure: measureFilters, least: 35 * time.Second},
	{name: "cni", measure: measureApart("cni"), least: 155 * time.Second},
	{name: "events", measure: measureEvents, least: 50 * time.Second},
	{name: "compile", measure: measureCompile, least: 32 * time.Second},
	{name: "policy", measure: measureApart("policy"), least: 185 * time.Second},
	{name: "agent", measure: measureApart("agent"), least: 90 * time.Second},
	{name: "image", measure: measureImage, least: 3 * time.Second},
	{name: "start", measure: measureApart("start"), least: 10 * time.Second},
}

func caseNames() (names []string) {
	for _, b := range benchmarks {
		names = append(names, b.name)
	}
	return names
}

// choose gives the benchmarks that names asks for.
func choose(names string) ([]benchmark, error) {
	if names == "all" {
		return benchmarks, nil
	}
	var chosen []benchmark
	for name := range strings.SplitSeq(names, ",") {
		i := slices.Index(caseNames(), name)
		if i < 0 {
			return nil, fmt.Errorf("no case %q; there are all, %s", name, strings.Join(caseNames(), ", "))
		}
		chosen = append(chosen, benchmarks[i])
	}
	return chosen, nil
}

// within is how long all cases may take: more than they need with as few rounds
// as there may be, for rounds that settle what is unclear.
const within = 17*time.Minute + 30*time.Second

// until is when the i-th of the chosen cases is to take no more rounds than it
// has to: when only what those after it need is left of the time.
func until(chosen []benchmark, i int, began time.Time) time.Time {
	end := began.Add(within)
	for _, later := range chosen[i+1:] {
		end = end.Add(-later.least)
	}
	return end
}

// run measures with processors kept awake, unless they are to sleep. Where the
// kernel cannot keep them awake it says so, in the log and in the rows.
func (b benchmark) run(t *lab) ([]report.Row, error) {
	awake := false
	if !b.asleep {
		if held, err := keepAwake(); err != nil {
			t.Logf("%s: processors may sleep, figures will vary more: %v", b.name, err)
		} else {
			defer held.Close()
			awake = true
		}
	}
	rows, err := t.run(b.measure)
	for i := range rows {
		rows[i].Awake = awake
	}
	return rows, err
}
