package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"strings"
)

// event is one line of go test -json (go doc test2json).
type event struct {
	Action     string
	Package    string
	ImportPath string // of build events
	Test       string // empty: the package as a whole
	Elapsed    float64
	Output     string
}

type key struct{ pkg, test string }

// report folds events. Tests count by name, subtests among them.
type report struct {
	out                     io.Writer
	output                  map[key]*strings.Builder // of what has not ended
	passed, failed, skipped int
	tests                   map[string]int  // that ended, by package
	failures                map[string]bool // packages with a failed test
}

func newReport(out io.Writer) *report {
	return &report{out: out, output: map[key]*strings.Builder{}, tests: map[string]int{}, failures: map[string]bool{}}
}

func (r *report) read(in io.Reader) error {
	lines := bufio.NewReader(in)
	for {
		line, err := lines.ReadBytes('\n')
		if len(line) > 0 {
			r.line(line)
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read test events: %w", err)
		}
	}
}

// line takes an event, or passes on what the go command says beside them.
func (r *report) line(line []byte) {
	var e event
	if err := json.Unmarshal(line, &e); err != nil {
		fmt.Fprintf(r.out, "%s", line)
		return
	}
	switch e.Action {
	case "output":
		r.collect(e)
	case "build-output":
		fmt.Fprint(r.out, e.Output)
	case "pass", "fail", "skip":
		r.end(e)
	}
}

func (r *report) collect(e event) {
	k := key{e.Package, e.Test}
	if r.output[k] == nil {
		r.output[k] = &strings.Builder{}
	}
	r.output[k].WriteString(e.Output)
}

func (r *report) end(e event) {
	k := key{e.Package, e.Test}
	var output string
	if b := r.output[k]; b != nil {
		output = b.String()
	}
	delete(r.output, k)
	if e.Test == "" {
		r.endPackage(e, output)
		return
	}
	r.tests[e.Package]++
	switch e.Action {
	case "pass":
		r.passed++
	case "skip":
		r.skipped++
		fmt.Fprintf(r.out, "skip  %s %s\n%s", e.Package, e.Test, output)
	case "fail":
		r.fail(e.Package)
		fmt.Fprintf(r.out, "FAIL  %s %s\n%s", e.Package, e.Test, output)
	}
}

// endPackage prints a package's line. Packages without tests get none. A
// package that failed tells in its own output of what no test could: that it
// does not build, panicked, or ran out of time.
func (r *report) endPackage(e event, output string) {
	switch {
	case e.Action == "fail":
		r.unfinished(e.Package)
		if !r.failures[e.Package] {
			r.failed++ // without a test of its own: it does not build, or its TestMain failed
		}
		fmt.Fprintf(r.out, "FAIL  %s %.1fs\n%s", e.Package, e.Elapsed, output)
	case r.tests[e.Package] > 0:
		fmt.Fprintf(r.out, "ok    %s %.1fs, %d tests\n", e.Package, e.Elapsed, r.tests[e.Package])
	}
}

func (r *report) fail(pkg string) {
	r.failed++
	r.failures[pkg] = true
}

// unfinished prints what tests said that never ended.
func (r *report) unfinished(pkg string) {
	for k, b := range r.output {
		if k.pkg == pkg {
			r.fail(pkg)
			fmt.Fprintf(r.out, "FAIL  %s %s did not end\n%s", k.pkg, k.test, b)
			delete(r.output, k)
		}
	}
}
