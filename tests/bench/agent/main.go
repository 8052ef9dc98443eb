// Command agent measures the cases of make bench that need an agent and an API
// server: real ones, below tests/control/control.sh, in network and mount
// namespaces of its own. The rows go to a file for tests/bench.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"os/signal"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/signet-cni/signet/tests/bench/measure"
	"github.com/signet-cni/signet/tests/bench/report"
)

func main() { os.Exit(run()) }

// options are what every case gets.
type options struct {
	commands string // directory of Signet's commands
	plugins  string // directory of the CNI reference plugins
	effort   measure.Effort
	log      io.Writer
}

// cases by their names.
var cases = map[string]func(context.Context, options) ([]report.Row, error){
	"cni":    measureCNI,
	"policy": measurePolicy,
	"agent":  measureUsage,
	"start":  measureStart,
}

func run() int {
	o := options{log: os.Stdout}
	names := strings.Join(slices.Sorted(maps.Keys(cases)), ", ")
	name := flag.String("case", "", "what to measure: "+names)
	flag.StringVar(&o.commands, "commands", "build", "directory of signet-agent, signet-cni and signet-wg")
	flag.StringVar(&o.plugins, "plugins", "/opt/cni/bin", "directory of the CNI plugins ptp and host-local")
	flag.IntVar(&o.effort.Rounds, "rounds", measure.MinRounds, "pairs of measurements of each comparison")
	flag.TextVar(&o.effort.Until, "until", time.Time{}, "when to take no more than these, however unclear what they say (RFC 3339)")
	out := flag.String("out", "", "file for the rows")
	member := flag.Int("member", -1, "instead of measuring, be this node of a fleet (the measurement starts these)")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, unix.SIGTERM)
	defer stop()
	if *member >= 0 {
		return beMember(ctx, o, *member)
	}
	one, ok := cases[*name]
	if !ok {
		fmt.Fprintf(os.Stderr, "agent: no case %q; there are %s\n", *name, names)
		return 2
	}
	if err := save(*out, func() ([]report.Row, error) { return one(ctx, o) }); err != nil {
		fmt.Fprintln(os.Stderr, "agent:", err)
		return 1
	}
	return 0
}

// save writes the rows that a case has found.
func save(path string, measured func() ([]report.Row, error)) error {
	rows, err := measured()
	if err != nil {
		return err
	}
	data, err := json.Marshal(rows)
	if err != nil {
		return err
	}
	return os.WriteFile(path, data, 0o600)
}
