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

// report follows the guests' second serial ports. It passes on what a reader
// wants at once and remembers what has to be judged at the end.
type report struct {
	out     io.Writer
	maySkip *regexp.Regexp
	ended   bool // the guest, by its own word

	units  map[string]*running
	passes map[string]int // by binary
	ran    map[string]int // by binary and test: how often one ended, whatever the outcome

	passed, failed int // tests, not counting subtests
	skipped        []string
}

// running is a unit that a guest was given.
type running struct {
	unit
	status string   // "" until it ended
	kept   []string // output since the last test ended
}

// newReport expects that all these units are run.
func newReport(out io.Writer, maySkip *regexp.Regexp, all queue) *report {
	r := &report{out: out, maySkip: maySkip, units: map[string]*running{}, passes: map[string]int{}, ran: map[string]int{}}
	for _, u := range all {
		r.passes[u.binary] = 0
		for _, test := range u.tests {
			r.ran[u.binary+": "+test] = 0
		}
	}
	return r
}

// expect says that a guest is given a unit.
func (r *report) expect(u unit) { r.units[u.name] = &running{unit: u} }

// line takes one in, and reports whether it asks for something to run.
func (r *report) line(line string) (asks bool) {
	name, text, _ := strings.Cut(line, " ")
	u := r.units[name]
	words, marked := strings.CutPrefix(text, marker+"exit ")
	switch {
	case line == marker+"next":
		return true
	case line == marker+"end":
		r.ended = true
	case u == nil:
		r.print(strings.TrimPrefix(line, marker))
	case marked:
		u.status = words
		if words != "0" {
			r.flush(u)
		}
		u.kept = nil
	default:
		r.output(u, text)
	}
	return false
}

// output takes a line of a unit's.
func (r *report) output(u *running, line string) {
	if chatter.MatchString(line) {
		return
	}
	if strings.Contains(line, platform) {
		r.print(strings.TrimSpace(line))
	}
	if len(u.kept) < maxKept {
		u.kept = append(u.kept, line)
	}
	m := result.FindStringSubmatch(line)
	if m == nil {
		return
	}
	verdict, top, test := m[2], m[1] == "", u.binary+": "+m[3]
	if verdict == "SKIP" {
		r.skipped = append(r.skipped, test)
	}
	if !top {
		return
	}
	r.ran[test]++
	switch verdict {
	case "PASS":
		r.passed++
		r.passes[u.binary]++
		u.kept = u.kept[len(u.kept)-1:]
	case "FAIL":
		r.failed++
	}
	r.flush(u)
}

func (r *report) flush(u *running) {
	for _, line := range u.kept {
		r.print(u.binary + " " + line)
	}
	u.kept = nil
}

func (r *report) print(line string) { fmt.Fprintln(r.out, line) }

// problems says, at the end, why the run did not pass.
func (r *report) problems() []string {
	var found []string
	for name, u := range r.units {
		switch u.status {
		case "0":
		case "":
			r.flush(u)
			found = append(found, name+" did not end")
		default:
			found = append(found, name+" ended with status "+u.status)
		}
	}
	for binary, count := range r.passes {
		if count == 0 {
			found = append(found, binary+" passed no test")
		}
	}
	found = append(found, r.notOnce()...)
	for _, test := range r.skipped {
		if !r.maySkip.MatchString(test) {
			found = append(found, test+" was skipped and has to run here")
		}
	}
	slices.Sort(found)
	return found
}

// fewMissing is how many tests that did not run are told of one by one.
const fewMissing = 5

// notOnce tells of the tests that ran never, or more than once.
func (r *report) notOnce() []string {
	var found, missing []string
	for test, times := range r.ran {
		if times > 1 {
			found = append(found, fmt.Sprintf("%s ran %d times", test, times))
		}
		if times == 0 {
			missing = append(missing, test+" did not run")
		}
	}
	if len(missing) > fewMissing {
		missing = []string{fmt.Sprintf("%d tests did not run", len(missing))}
	}
	return append(found, missing...)
}
