// Command bench measures Signet against what it is compared with, in one run
// and by turns: this machine's other load hits both. It needs root. The table
// goes to standard output, the same as JSON to a file.
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/signet-cni/signet/tests/bench/measure"
	"github.com/signet-cni/signet/tests/bench/report"
	"github.com/signet-cni/signet/tests/netns/harness"
)

func main() { os.Exit(harness.Main(run)) }

// benchmark is one name that CASE may have; it gives one row or several.
type benchmark struct {
	name    string
	measure func(*lab) ([]report.Row, error)
}

// benchmarks in the order in which they run.
var benchmarks = []benchmark{
	{"tcp", measureTCP},
	{"vxlan", measureVXLAN},
	{"latency", measureLatency},
	{"connections", measureConnections},
	{"local", measureLocal},
	{"service", measureService},
	{"verdict", measureVerdict},
	{"events", measureEvents},
}

// run is also called outside the laboratory, without root.
func run() int {
	names := flag.String("case", "all", "what to measure: all, or some of "+strings.Join(caseNames(), ","))
	out := flag.String("out", "build/bench/results.json", "file for the results")
	rounds := flag.Int("rounds", measure.MinRounds, "pairs of measurements of each comparison")
	flag.Parse()
	if err := bench(os.Stdout, *names, *rounds, *out); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		return 1
	}
	return 0
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

// bench runs cases one after the other, keeps what each has found when a
// later one fails, and fails itself where a target was missed.
func bench(w io.Writer, names string, rounds int, out string) error {
	chosen, err := choose(names)
	if err != nil {
		return err
	}
	results := report.New()
	for _, b := range chosen {
		fmt.Fprintln(w, "==", b.name)
		rows, err := (&lab{log: w, rounds: rounds}).run(b.measure)
		results.Add(rows...)
		if err != nil {
			return fmt.Errorf("%s: %w", b.name, err)
		}
		if err := results.Save(out); err != nil {
			return err
		}
	}
	if err := results.Print(w); err != nil {
		return err
	}
	return results.Err()
}
