package main

import (
	"strings"
	"testing"
)

func TestRun(t *testing.T) {
	const (
		pass  = `{"Action":"pass","Package":"p","Test":"A"}` + "\n"
		skip  = `{"Action":"output","Package":"p","Test":"B","Output":"needs root\n"}` + "\n" + `{"Action":"skip","Package":"p","Test":"B"}` + "\n"
		fail  = `{"Action":"output","Package":"p","Test":"C","Output":"got 1, want 2\n"}` + "\n" + `{"Action":"fail","Package":"p","Test":"C"}` + "\n"
		hangs = `{"Action":"output","Package":"p","Test":"D","Output":"waiting\n"}` + "\n" + `{"Action":"fail","Package":"p"}` + "\n"
		build = `{"Action":"build-output","ImportPath":"p","Output":"x.go:1: no\n"}` + "\n" + `{"Action":"fail","Package":"p","Elapsed":0}` + "\n"
		ends  = `{"Action":"pass","Package":"p","Elapsed":1.5}` + "\n"
		empty = `{"Action":"skip","Package":"q"}` + "\n"
	)
	tests := []struct {
		name   string
		in     string
		strict bool
		status int
		out    []string
	}{
		{"all pass", pass + ends + empty, true, 0, []string{"ok    p 1.5s, 1 tests", "1 passed, 0 failed, 0 skipped"}},
		{"a skip is told", pass + skip + ends, false, 0, []string{"needs root", "1 passed, 0 failed, 1 skipped"}},
		{"a skip fails in CI", pass + skip + ends, true, 1, []string{"needs root", "CI does not accept"}},
		{"a failure shows its output", pass + fail, false, 1, []string{"got 1, want 2", "1 passed, 1 failed"}},
		{"a test that never ended", hangs, false, 1, []string{"p D did not end", "waiting", "0 passed, 1 failed"}},
		{"a package that does not build", build, false, 1, []string{"x.go:1: no", "FAIL  p", "0 passed, 1 failed"}},
		{"what is no event passes through", "go: no module\n" + pass, false, 0, []string{"go: no module"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var out strings.Builder
			if status := run(strings.NewReader(tt.in), &out, tt.strict); status != tt.status {
				t.Errorf("status %d, want %d", status, tt.status)
			}
			for _, want := range tt.out {
				if !strings.Contains(out.String(), want) {
					t.Errorf("%q is missing from:\n%s", want, &out)
				}
			}
		})
	}
}
