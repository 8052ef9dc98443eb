// Package table writes aligned columns, in colour where a terminal shows them.
package table

import (
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Colour is how a text is shown on a terminal.
type Colour string

// The colours: ANSI SGR parameters.
const (
	Plain  Colour = ""
	Red    Colour = "31"
	Green  Colour = "32"
	Yellow Colour = "33"
	Bold   Colour = "1"
	Faint  Colour = "2"
)

// gap is between two columns.
const gap = "  "

// Cell is a text in a colour.
type Cell struct {
	Text   string
	Colour Colour
}

// Text makes a cell without colour, in the default format of fmt.
func Text(value any) Cell { return Cell{Text: fmt.Sprint(value)} }

// Table is rows under a header. The zero value has neither.
type Table struct {
	Indent string
	header []Cell
	rows   [][]Cell
}

// New makes a table with the given column names.
func New(columns ...string) *Table {
	t := &Table{}
	for _, name := range columns {
		t.header = append(t.header, Cell{Text: name, Colour: Bold})
	}
	return t
}

// Add adds a row. A value that is not a Cell is shown without colour.
func (t *Table) Add(values ...any) {
	row := make([]Cell, 0, len(values))
	for _, value := range values {
		cell, ok := value.(Cell)
		if !ok {
			cell = Text(value)
		}
		cell.Text = Clean(cell.Text)
		row = append(row, cell)
	}
	t.rows = append(t.rows, row)
}

// Len gives the number of rows, the header not counted.
func (t *Table) Len() int { return len(t.rows) }

// Write writes the table. An empty cell is shown as a dash, so that every line
// has the same number of words.
func (t *Table) Write(w io.Writer, colour bool) error {
	rows := t.rows
	if t.header != nil {
		rows = append([][]Cell{t.header}, rows...)
	}
	widths := widths(rows)
	var out strings.Builder
	for _, row := range rows {
		out.WriteString(t.Indent)
		for n, cell := range row {
			text := shown(cell.Text)
			out.WriteString(Paint(text, cell.Colour, colour))
			if n < len(row)-1 {
				out.WriteString(strings.Repeat(" ", widths[n]-utf8.RuneCountInString(text)) + gap)
			}
		}
		out.WriteByte('\n')
	}
	_, err := io.WriteString(w, out.String())
	return err
}

func widths(rows [][]Cell) []int {
	var widths []int
	for _, row := range rows {
		for n, cell := range row {
			if n == len(widths) {
				widths = append(widths, 0)
			}
			widths[n] = max(widths[n], utf8.RuneCountInString(shown(cell.Text)))
		}
	}
	return widths
}

func shown(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

// Paint gives text in a colour if colours are wanted.
func Paint(text string, colour Colour, wanted bool) string {
	if !wanted || colour == Plain || text == "" {
		return text
	}
	return "\x1b[" + string(colour) + "m" + text + "\x1b[0m"
}

// Clean replaces what could move the cursor or break a line: names and
// messages come from a cluster that may not mean well.
func Clean(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t':
			return ' '
		case unicode.IsGraphic(r):
			return r
		default:
			return utf8.RuneError
		}
	}, text)
}
