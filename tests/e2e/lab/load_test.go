package lab

import "testing"

func TestToll(t *testing.T) {
	got := countToll(`/tmp/load/told/live-0:1.5 answer
/tmp/load/told/stream:1.5 answer
/tmp/load/told/live-1:1.6 silence
/tmp/load/told/live-0:2.5 answer
/tmp/load/told/stream:1.7 answer
/tmp/load/told/stream:3 sent
/tmp/load/told/stream:0 ended
/tmp/load/told/live-1:0 ended
`, 2)
	if want := (Toll{Sent: 3, Lost: 1, Connections: 2, Answers: 2, Unanswered: 1, ended: 2}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}
