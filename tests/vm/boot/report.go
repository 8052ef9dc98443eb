package main

import (
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
)

const (
	marker   = "@@ "        // starts init's lines
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
	out     io.Writer
	maySkip *regexp.Regexp
	status  map[string]string // by binary: "" until it ended
	kept    []string          // output since the last test ended
	ended   bool

	passed, failed int // tests, not counting subtests
	began          int // passed when the binary started
	skipped        []string
}

func newReport(out io.Writer, maySkip *regexp.Regexp, tests []string) *report {
	r := &report{out: out, maySkip: maySkip, status: map[string]string{}}
	for _, t := range tests {
		r.status[t] = ""
	}
	return r
}

func (r *report) line(line string) {
	if words, ok := strings.CutPrefix(line, marker); ok {
		r.mark(strings.Fields(words))
		return
	}
	if chatter.MatchString(line) {
		return
	}
	if strings.Contains(line, platform) {
		r.print(strings.TrimSpace(line))
	}
	if len(r.kept) < maxKept {
		r.kept = append(r.kept, line)
	}
	if m := result.FindStringSubmatch(line); m != nil {
		r.result(m[1] == "", m[2], m[3], line)
	}
}

// result takes a test's last line.
func (r *report) result(top bool, verdict, test, line string) {
	if verdict == "SKIP" {
		r.skipped = append(r.skipped, test)
	}
	if !top {
		return
	}
	switch verdict {
	case "PASS":
		r.passed++
	case "FAIL":
		r.failed++
	}
	if verdict == "PASS" {
		r.print(line)
		r.kept = nil
	} else {
		r.flush()
	}
}

// mark takes a line of init's.
func (r *report) mark(words []string) {
	switch {
	case len(words) == 2 && words[0] == "run":
		r.kept = nil
		r.began = r.passed
		r.print(words[1])
	case len(words) == 3 && words[0] == "exit":
		if words[2] != "0" {
			r.flush()
		}
		if words[2] == "0" && r.passed == r.began {
			words[2] = "0, and no test passed"
		}
		r.status[words[1]] = words[2]
		r.kept = nil
	case len(words) == 1 && words[0] == "end":
		r.ended = true
	default:
		r.print(strings.Join(words, " "))
	}
}

func (r *report) flush() {
	for _, line := range r.kept {
		r.print(line)
	}
	r.kept = nil
}

func (r *report) print(line string) { fmt.Fprintln(r.out, line) }

// problems says, at the end, why the run did not pass.
func (r *report) problems() []string {
	var found []string
	for test, status := range r.status {
		switch status {
		case "0":
		case "":
			found = append(found, test+" did not end")
		default:
			found = append(found, test+" ended with status "+status)
		}
	}
	for _, test := range r.skipped {
		if !r.maySkip.MatchString(test) {
			found = append(found, test+" was skipped and has to run here")
		}
	}
	if !r.ended {
		r.flush()
		found = append(found, "the guest did not reach its end")
	}
	slices.Sort(found)
	return found
}
