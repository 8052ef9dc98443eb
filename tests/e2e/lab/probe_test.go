package lab

import (
	"net/netip"
	"testing"
	"time"
)

func TestJudge(t *testing.T) {
	probe := Probe{Server: "db", Client: netip.MustParseAddr("10.244.1.2")}
	for name, test := range map[string]struct {
		outcome string
		answer  []string
		want    Outcome
	}{
		"answer":           {"answer", []string{"db", "10.244.1.2:999"}, Answer},
		"mapped address":   {"answer", []string{"db", "[::ffff:10.244.1.2]:999"}, Answer},
		"other server":     {"answer", []string{"web", "10.244.1.2:999"}, Wrong},
		"other client":     {"answer", []string{"db", "10.244.1.3:999"}, Wrong},
		"half an answer":   {"answer", []string{"db"}, Failed},
		"no address":       {"answer", []string{"db", "nobody"}, Failed},
		"silence":          {"silence", nil, Silence},
		"refused":          {"refused", nil, Refused},
		"no name":          {"no-name", nil, NoName},
		"something else":   {"surprise", nil, Failed},
		"no answer at all": {"answer", nil, Failed},
	} {
		t.Run(name, func(t *testing.T) {
			if got, detail := probe.judge(test.outcome, test.answer); got != test.want {
				t.Errorf("got %s %s, want %s", got, detail, test.want)
			}
		})
	}
}

// at makes attempts, one a second; a dot is silence.
func at(outcomes string) []Attempt {
	var attempts []Attempt
	for i, outcome := range outcomes {
		attempts = append(attempts, Attempt{At: time.Unix(int64(i), 0), Answered: outcome != '.'})
	}
	return attempts
}

func TestRun(t *testing.T) {
	for _, test := range []struct {
		outcomes string
		answered bool
		after    int64
		first    int64
		n        int
	}{
		{"aa...", false, 0, 2, 3},
		{"aa...", true, 0, 0, 0},
		{".aaaa", true, 2, 3, 2},
		{"", true, 0, 0, 0},
	} {
		first, n := run(at(test.outcomes), test.answered, time.Unix(test.after, 0))
		if n != test.n || n > 0 && first.Unix() != test.first {
			t.Errorf("%q: got %d from %s, want %d from %d", test.outcomes, n, first, test.n, test.first)
		}
	}
}

func TestGap(t *testing.T) {
	w := &Watch{attempts: at("aa...a.a")}
	if got := w.Gap(); got != 4*time.Second {
		t.Errorf("got %s, want 4s", got)
	}
}

func TestWatchLine(t *testing.T) {
	w := &Watch{}
	for _, line := range []string{"1700000000.000001 answer", "1700000000.500000 silence", "nonsense", "7 sent"} {
		w.line(line)
	}
	if lost, sent := w.Lost(); len(w.attempts) != 2 || !w.attempts[0].Answered || w.attempts[1].Answered || sent != 7 || lost != 5 {
		t.Errorf("got %+v, lost %d of %d", w.attempts, lost, sent)
	}
}
