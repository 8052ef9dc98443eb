package main

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/signet-cni/signet/internal/api"
	"github.com/signet-cni/signet/internal/reconcile"
)

// Whatever can fail has one line that says what to do.
func TestEverySubsystemHasAdvice(t *testing.T) {
	for _, name := range append([]string{"start"}, subsystemOrder...) {
		if text := remedies[name]; text == "" || strings.Contains(text, "\n") {
			t.Errorf("%s: advice %q", name, text)
		}
	}
	if len(remedies) != len(subsystemOrder)+1 {
		t.Errorf("%d subsystems, advice for %d", len(subsystemOrder), len(remedies)-1)
	}
	for name := range newLoops(&agent{}).named() {
		if remedies[name] == "" {
			t.Errorf("loop %s is no subsystem", name)
		}
	}
}

func TestSubsystemStates(t *testing.T) {
	for name, test := range map[string]struct {
		got  api.Subsystem
		want string
	}{
		"works":   {loopState("tunnel", reconcile.Stats{Success: time.Now()}), api.Works},
		"fails":   {loopState("tunnel", reconcile.Stats{Success: time.Now(), Error: errors.New("no route")}), api.Failing},
		"waits":   {loopState("tunnel", reconcile.Stats{}), api.Waiting},
		"watches": {watchState([]api.Watch{{Kind: "pods", Synced: true}}), api.Works},
		"behind":  {watchState([]api.Watch{{Kind: "pods"}}), api.Failing},
		"refused": {watchState([]api.Watch{{Kind: "pods", Synced: true, Error: "forbidden"}}), api.Failing},
	} {
		if test.got.State != test.want || (test.got.Problem != "") != (test.want == api.Failing) ||
			(test.got.Advice != "") != (test.want == api.Failing) {
			t.Errorf("%s: %+v, want %s", name, test.got, test.want)
		}
	}
}
