package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/signet-cni/signet/identity"
)

func TestGrowth(t *testing.T) {
	sets := map[identity.ID]identity.Set{}
	grow := func(namespace string, count int) {
		for n := range count {
			set := identity.NewSet(namespace, nil, map[string]string{"run": fmt.Sprint(n)}, identity.DefaultIgnore())
			sets[identity.Number(set, 0)] = set
		}
	}
	grow("quiet", 7)
	for _, step := range []struct {
		count int
		want  string
	}{{7, ""}, {8, "at least 8 of at most 10"}, {10, "at least 8 of at most 10"}, {11, "more than 10"}} {
		grow("ci", step.count)
		problems := growth(sets, 10)
		if step.want == "" {
			if len(problems) != 0 {
				t.Errorf("%d: %v", step.count, problems)
			}
			continue
		}
		if len(problems) != 1 || problems[0].Name != "ci" || !strings.Contains(problems[0].Message, step.want) ||
			!strings.Contains(problems[0].Message, "label run splits") {
			t.Errorf("%d: %v", step.count, problems)
		}
		if got := largest(sets); got != step.count {
			t.Errorf("the largest namespace has %d", got)
		}
	}
	if problems := growth(sets, 0); problems != nil {
		t.Errorf("without a limit: %v", problems)
	}
}
