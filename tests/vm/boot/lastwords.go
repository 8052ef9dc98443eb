package main

import (
	"os"
	"regexp"
	"strings"
)

// manyWords is how many of the kernel's lines are shown of a boot that went
// wrong: a panic and its call trace.
const manyWords = 60

// printed is what the kernel's lines on a console start with.
var printed = regexp.MustCompile(`^\[ *\d+\.\d+\]`)

// lastWords gives the kernel's last lines in a console's file, most of them at
// most.
func lastWords(console string, most int) (words []string, err error) {
	text, err := os.ReadFile(console)
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(string(text)) {
		if printed.MatchString(line) {
			words = append(words, strings.TrimRight(line, "\r\n"))
		}
	}
	return words[max(0, len(words)-most):], nil
}

// withLastWords adds them to what was wrong with a boot.
func withLastWords(problem, console string) string {
	words, err := lastWords(console, manyWords)
	if err != nil {
		return problem + "; its console cannot be read: " + err.Error()
	}
	return problem + "; the kernel's last words:\n" + strings.Join(words, "\n")
}
