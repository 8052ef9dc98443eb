package main

import (
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
)

const (
	marker   = "@@ "        // starts what init says
	platform = "platform: " // is in a test's line that says what it ran on
	maxKept  = 2000         // lines of output, so that a test that rages on does not fill the memory
)

var (
	result  = regexp.MustCompile(`^( *)--- (PASS|FAIL|SKIP): (\S+) \(`)
	chatter = regexp.MustCompile(`^=== (RUN|PAUSE|CONT|NAME) `)
)

// report follows the guest's second serial port. It passes on what a reader
// wants at once and remembers what has to be judged at the end.
type report struct {
	out      io.Writer
	maySkip  *regexp.Regexp
	binaries map[string]*binary
	ended    bool

	passed, failed int // tests, not counting subtests
	skipped        []string
}

// binary is a test binary that has to run.
type binary struct {
	status string   // "" until it ended
	passed int      // tests
	kept   []string // output since the last test ended
}

func newReport(out io.Writer, maySkip *regexp.Regexp, names []string) *report {
	r := &report{out: out, maySkip: maySkip, binaries: map[string]*binary{}}
	for _, name := range names {
		r.binaries[name] = &binary{}
	}
	return r
}

func (r *report) line(line string) {
	name, text, _ := strings.Cut(line, " ")
	b := r.binaries[name]
	words, marked := strings.CutPrefix(text, marker+"exit ")
	switch {
	case line == marker+"end":
		r.ended = true
	case b == nil:
		r.print(strings.TrimPrefix(line, marker))
	case marked:
		b.status = words
		if words != "0" {
			r.flush(name)
		}
		b.kept = nil
	default:
		r.output(name, text)
	}
}

// output takes a line of a binary's.
func (r *report) output(name, line string) {
	b := r.binaries[name]
	if chatter.MatchString(line) {
		return
	}
	if strings.Contains(line, platform) {
		r.print(strings.TrimSpace(line))
	}
	if len(b.kept) < maxKept {
		b.kept = append(b.kept, line)
	}
	m := result.FindStringSubmatch(line)
	if m == nil {
		return
	}
	verdict, top := m[2], m[1] == ""
	if verdict == "SKIP" {
		r.skipped = append(r.skipped, name+": "+m[3])
	}
	switch {
	case !top:
		return
	case verdict == "PASS":
		r.passed++
		b.passed++
		b.kept = b.kept[len(b.kept)-1:]
	case verdict == "FAIL":
		r.failed++
	}
	r.flush(name)
}

func (r *report) flush(name string) {
	b := r.binaries[name]
	for _, line := range b.kept {
		r.print(name + " " + line)
	}
	b.kept = nil
}

func (r *report) print(line string) { fmt.Fprintln(r.out, line) }

// problems says, at the end, why the run did not pass.
func (r *report) problems() []string {
	var found []string
	for name, b := range r.binaries {
		switch {
		case b.status == "":
			r.flush(name)
			found = append(found, name+" did not end")
		case b.status != "0":
			found = append(found, name+" ended with status "+b.status)
		case b.passed == 0:
			found = append(found, name+" passed no test")
		}
	}
	for _, test := range r.skipped {
		if !r.maySkip.MatchString(test) {
			found = append(found, test+" was skipped and has to run here")
		}
	}
	if !r.ended {
		found = append(found, "the guest did not reach its end")
	}
	slices.Sort(found)
	return found
}
