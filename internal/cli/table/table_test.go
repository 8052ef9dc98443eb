package table_test

import (
	"strings"
	"testing"

	"github.com/signet-cni/signet/internal/cli/table"
)

func TestTable(t *testing.T) {
	tab := table.New("NAME", "N")
	tab.Add("a", 1)
	tab.Add(table.Cell{Text: "größer", Colour: table.Red}, "")
	for _, test := range []struct {
		colour bool
		want   string
	}{
		{false, "NAME    N\na       1\ngrößer  -\n"},
		{true, "\x1b[1mNAME\x1b[0m    \x1b[1mN\x1b[0m\na       1\n\x1b[31mgrößer\x1b[0m  -\n"},
	} {
		var out strings.Builder
		if err := tab.Write(&out, test.colour); err != nil {
			t.Fatal(err)
		}
		if out.String() != test.want {
			t.Errorf("got\n%q, want\n%q", out.String(), test.want)
		}
	}
}

func TestClean(t *testing.T) {
	if got := table.Clean("a\x1b[2J\nb\tc\u202e é"); got != "a\ufffd[2J b c\ufffd é" {
		t.Errorf("%q", got)
	}
}
