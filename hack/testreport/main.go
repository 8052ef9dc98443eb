// Command testreport reads the events of go test -json and prints a line per
// package, the output of what failed, why tests were skipped, and totals. With
// CI=true in its environment a skipped test counts as a failure.
package main

import (
	"fmt"
	"io"
	"os"
)

func main() {
	os.Exit(run(os.Stdin, os.Stdout, os.Getenv("CI") == "true"))
}

// run gives the exit status.
func run(in io.Reader, out io.Writer, refuseSkips bool) int {
	r := newReport(out)
	if err := r.read(in); err != nil {
		fmt.Fprintf(out, "error: %v\n", err)
		return 1
	}
	fmt.Fprintf(out, "%d passed, %d failed, %d skipped\n", r.passed, r.failed, r.skipped)
	if refuseSkips && r.skipped > 0 {
		fmt.Fprintln(out, "error: tests were skipped, which CI does not accept")
		return 1
	}
	if r.failed > 0 {
		return 1
	}
	return 0
}
