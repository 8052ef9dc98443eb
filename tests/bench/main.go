// Command bench measures Signet against what it is compared with, in one run
// and by turns: this machine's other load hits both. It needs root. The table
// goes to standard output, the same as JSON to a file.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/signet-cni/signet/tests/bench/measure"
	"github.com/signet-cni/signet/tests/bench/report"
	"github.com/signet-cni/signet/tests/netns/harness"
)

func main() { os.Exit(harness.Main(run)) }

// options say what to measure, and how.
type options struct {
	names   string // of cases, "all" or separated by commas
	out     string // file for the results
	plugins string // directory of the CNI reference plugins
	rounds  int    // of each comparison
}

// run is also called outside the laboratory, without root.
func run() int {
	var o options
	flag.StringVar(&o.names, "case", "all", "what to measure: all, or some of "+strings.Join(caseNames(), ","))
	flag.StringVar(&o.out, "out", "build/bench/results.json", "file for the results")
	flag.StringVar(&o.plugins, "plugins", "/opt/cni/bin", "directory of the CNI plugins ptp and host-local")
	flag.IntVar(&o.rounds, "rounds", measure.MinRounds, "pairs of measurements of each comparison")
	flag.Parse()
	if err := bench(os.Stdout, o); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		return 1
	}
	return 0
}

// bench runs cases one after the other, also when one could not be measured,
// and fails where a target was missed.
func bench(w io.Writer, o options) error {
	chosen, err := choose(o.names)
	if err != nil {
		return err
	}
	results, began := report.New(), time.Now()
	var failed []error
	for i, b := range chosen {
		fmt.Fprintf(w, "== %s, %d of %d, after %v\n", b.name, i+1, len(chosen), time.Since(began).Round(time.Second))
		effort := measure.Effort{Rounds: o.rounds, Until: until(chosen, i, began)}
		rows, err := b.run(&lab{log: w, effort: effort, plugins: o.plugins})
		results.Add(rows...)
		if err != nil {
			failed = append(failed, fmt.Errorf("%s: %w", b.name, err))
			fmt.Fprintf(w, "%s cannot be measured: %v\n", b.name, err)
		}
		if err := results.Save(o.out); err != nil {
			return err
		}
	}
	if err := results.Print(w); err != nil {
		return err
	}
	fmt.Fprintf(w, "%d cases took %v\n", len(chosen), time.Since(began).Round(time.Second))
	return errors.Join(append(failed, results.Err())...)
}
