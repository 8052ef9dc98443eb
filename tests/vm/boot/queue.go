package main

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// unit is some tests of one binary, which the guest runs in one go.
type unit struct {
	name   string // the binary's, and a number
	binary string
	path   string // in the guest
	tests  []string
}

// order is what the guest is told.
func (u unit) order() string {
	return fmt.Sprintf("%s %s ^(%s)$", u.name, u.path, strings.Join(u.tests, "|"))
}

// queue is what is still to be run.
type queue []unit

// take gives the next unit, if there is one.
func (q *queue) take() (u unit, ok bool) {
	if len(*q) == 0 {
		return unit{}, false
	}
	u, *q = (*q)[0], (*q)[1:]
	return u, true
}

var runnable = regexp.MustCompile(`^(Test|Fuzz|Example)\S+$`)

// split makes units of at most most tests of those that a binary lists.
func split(binary, path, listed string, most int) queue {
	var tests []string
	for _, name := range strings.Fields(listed) {
		if runnable.MatchString(name) {
			tests = append(tests, name)
		}
	}
	var units queue
	for part := range slices.Chunk(tests, most) {
		units = append(units, unit{
			name: fmt.Sprintf("%s#%d", binary, len(units)), binary: binary, path: path, tests: part,
		})
	}
	return units
}

// list asks the binaries below dir for their tests; a suite is "PACKAGE:MOST".
// Those of the first come first: the longest should.
func list(dir string, suites []string) (queue, error) {
	var all queue
	for _, suite := range suites {
		pkg, count, _ := strings.Cut(suite, ":")
		most, err := strconv.Atoi(count)
		if err != nil || most < 1 {
			return nil, fmt.Errorf("suite %q: want PACKAGE:MOST", suite)
		}
		binary := filepath.Base(pkg)
		file := filepath.Join(pkg, binary+".test")
		out, err := exec.Command(filepath.Join(dir, file), "-test.list", ".").Output()
		if err != nil {
			return nil, fmt.Errorf("list the tests of %s: %w", pkg, err)
		}
		units := split(binary, "/src/"+file, string(out), most)
		if len(units) == 0 {
			return nil, fmt.Errorf("%s has no tests", pkg)
		}
		all = append(all, units...)
	}
	return all, nil
}
