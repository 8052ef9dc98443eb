//go:build e2e

package e2e

import (
	"testing"

	"github.com/signet-cni/signet/tests/e2e/story"
)

// TestStory tries the full tables of what people learn NetworkPolicy from.
func TestStory(t *testing.T) {
	for _, s := range story.All(prefix) {
		t.Run(s.Name, func(t *testing.T) {
			create(t, s.Namespaces, s.Pods...)
			for _, step := range s.Steps {
				t.Run(step.Title, func(t *testing.T) { tell(t, s, step) })
			}
		})
	}
}

// tell goes one step of a story.
func tell(t *testing.T, s *story.Story, step story.Step) {
	if err := s.Do(t.Context(), cluster, step); err != nil {
		t.Fatal(err)
	}
	settle()
	rows, err := s.Rows(step)
	if err != nil {
		t.Fatal(err)
	}
	story.Try(t.Context(), cluster, rows)
	right := 0
	for _, r := range rows {
		if r.OK() {
			right++
			continue
		}
		t.Errorf("%s -> %s:%d/%s: want open=%t\n\tby address: %v\n\tby Service: %v\n\tby name: %v",
			r.From.Key(), r.To.Key(), r.Port, r.Protocol, r.Open, r.ByAddr, r.ByService, r.ByName)
	}
	t.Logf("%d of %d rows as they have to be, each in three ways", right, len(rows))
}
