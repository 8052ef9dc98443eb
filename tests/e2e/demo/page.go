package main

import (
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"unicode/utf8"
)

// Signs at the end of a line.
const (
	good = "ok"
	bad  = "WRONG"
)

// page writes for a reader: in colour if that is a terminal.
type page struct {
	out     io.Writer
	colours bool
	blank   bool // the last line is
}

func newPage(out *os.File) *page {
	info, err := out.Stat()
	terminal := err == nil && info.Mode()&os.ModeCharDevice != 0
	return &page{out: out, colours: terminal && os.Getenv("NO_COLOR") == ""}
}

// title begins a part.
func (p *page) title(text string) {
	p.space()
	p.print(p.paint("1", text) + "\n")
	p.space()
}

// text writes lines below each other.
func (p *page) text(lines string) {
	for line := range strings.Lines(lines) {
		p.print("  " + strings.TrimSuffix(line, "\n") + "\n")
	}
}

// space leaves one line empty.
func (p *page) space() {
	if !p.blank {
		p.print("\n")
		p.blank = true
	}
}

// print writes; there is nowhere to tell of a failure.
func (p *page) print(text string) {
	_, _ = io.WriteString(p.out, text)
	p.blank = false
}

func (p *page) paint(code, text string) string {
	if !p.colours {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

// table gathers rows, to write them in columns.
type table struct {
	page *page
	rows [][]string
}

func (p *page) table(columns ...string) *table {
	return &table{page: p, rows: [][]string{columns}}
}

func (t *table) row(cells ...any) {
	row := make([]string, len(cells))
	for i, cell := range cells {
		row[i] = fmt.Sprint(cell)
	}
	t.rows = append(t.rows, row)
}

func (t *table) flush() {
	widths := make([]int, len(t.rows[0]))
	for _, row := range t.rows {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	for _, row := range t.rows {
		line := "  "
		for i, cell := range row {
			line += t.page.sign(cell) + strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell)+2)
		}
		t.page.print(strings.TrimRight(line, " ") + "\n")
	}
	t.page.space()
}

// sign paints the words that matter.
func (p *page) sign(cell string) string {
	switch cell {
	case good, "yes", "answer", "admitted":
		return p.paint("32", cell)
	case bad:
		return p.paint("1;31", cell)
	case "no", "silence", "no name", "dropped":
		return p.paint("33", cell)
	}
	return cell
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
