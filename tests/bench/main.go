// Command bench measures Signet against the bare WireGuard device that it runs
// over, in one run and by turns: this machine's other load hits both. It needs
// root, and prints what it did; the results go to a file, too.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/signet-cni/signet/tests/netns/harness"
)

func main() { os.Exit(harness.Main(run)) }

// run is also called outside the laboratory, without root.
func run() int {
	name := flag.String("case", "tcp", "what to measure: tcp")
	out := flag.String("out", "build/bench/results.json", "file for the results")
	rounds := flag.Int("rounds", 9, "pairs of measurements, at least 7")
	flag.Parse()
	if err := bench(os.Stdout, *name, *rounds, *out); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		return 1
	}
	return 0
}

func bench(w io.Writer, name string, rounds int, out string) error {
	measure, ok := cases[name]
	if !ok {
		return fmt.Errorf("no case %q", name)
	}
	if rounds < 7 {
		return fmt.Errorf("%d rounds: want 7 at least", rounds)
	}
	t := &lab{log: w}
	results, err := t.run(func() (results, error) { return measure(t, w, rounds) })
	if err != nil {
		return err
	}
	results.Case = name
	results.print(w)
	return save(out, results)
}

func save(path string, r results) error {
	data, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, append(data, '\n'), 0o644)
}
