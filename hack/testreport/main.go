// Command testreport reads the events of go test -json and prints a line per
// package, the output of what failed, why tests were skipped, and totals. With
// CI=true in its environment a skipped test counts as a failure, unless the
// flag -may-skip names it.
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"regexp"
)

func main() {
	maySkip := flag.String("may-skip", "", "regular `expression` of the tests, as \"PACKAGE TEST\", that CI accepts to be skipped")
	flag.Parse()
	names, err := regexp.Compile("^(" + *maySkip + ")$")
	if err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(2)
	}
	os.Exit(run(os.Stdin, os.Stdout, os.Getenv("CI") == "true", names))
}

// run gives the exit status.
func run(in io.Reader, out io.Writer, refuseSkips bool, maySkip *regexp.Regexp) int {
	r := newReport(out, maySkip)
	if err := r.read(in); err != nil {
		fmt.Fprintf(out, "error: %v\n", err)
		return 1
	}
	fmt.Fprintf(out, "%d passed, %d failed, %d skipped\n", r.passed, r.failed, r.skipped)
	if refuseSkips && r.refused > 0 {
		fmt.Fprintln(out, "error: tests were skipped, which CI does not accept")
		return 1
	}
	if r.failed > 0 {
		return 1
	}
	return 0
}
