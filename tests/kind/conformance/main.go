// Command conformance reads ginkgo's report of the upstream suite, prints each
// case with its time, and exits 0 only if the given number of them passed and
// no other ran.
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

func main() { os.Exit(run()) }

func run() int {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: conformance REPORT NUMBER")
		return 2
	}
	cases, err := read(os.Args[1])
	want, bad := strconv.Atoi(os.Args[2])
	if err != nil || bad != nil {
		fmt.Fprintln(os.Stderr, "conformance:", err, bad)
		return 2
	}
	if passed := tell(os.Stdout, cases); passed != want || len(cases) != want {
		_, _ = fmt.Fprintf(os.Stdout, "want %d passed\n", want)
		return 1
	}
	return 0
}

// suite is the part of ginkgo's report that counts here.
type suite struct {
	SpecReports []spec
}

type spec struct {
	LeafNodeType string
	LeafNodeText string
	State        string
	RunTime      time.Duration
	Failure      struct{ Message string }
}

// read gives the cases that ran.
func read(path string) ([]spec, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var suites []suite
	if err := json.Unmarshal(raw, &suites); err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	var ran []spec
	for _, s := range suites {
		for _, c := range s.SpecReports {
			if c.LeafNodeType == "It" && c.State != "skipped" && c.State != "pending" {
				ran = append(ran, c)
			}
		}
	}
	slices.SortFunc(ran, func(a, b spec) int { return strings.Compare(a.LeafNodeText, b.LeafNodeText) })
	return ran, nil
}

// tell prints the cases and gives how many passed.
func tell(out io.Writer, cases []spec) (passed int) {
	for _, c := range cases {
		if c.State == "passed" {
			passed++
		}
		_, _ = fmt.Fprintf(out, "%-7s %6.1fs  %s\n", c.State, c.RunTime.Seconds(), c.LeafNodeText)
		if c.Failure.Message != "" {
			_, _ = fmt.Fprintf(out, "    %s\n", strings.ReplaceAll(c.Failure.Message, "\n", "\n    "))
		}
	}
	_, _ = fmt.Fprintf(out, "%d passed, %d failed\n", passed, len(cases)-passed)
	return passed
}
