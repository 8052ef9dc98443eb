package main

import (
	"regexp"
	"slices"
	"strings"
	"testing"
)

const good = `@@ Linux 6.1.0
@@ run device
=== RUN   TestRoutes
    routes_test.go:7: noise
--- PASS: TestRoutes (0.21s)
=== RUN   TestWatch
    watch_test.go:9: the kernel has WireGuard
--- SKIP: TestWatch (0.00s)
PASS

@@ exit device 0
@@ run netns
=== RUN   TestPlatform
    platform_test.go:5: platform: Linux 6.1.0, hooks: clsact
--- PASS: TestPlatform (0.01s)
PASS

@@ exit netns 0
@@ end
`

// follow reports on the console of a guest that has device and netns to run.
func follow(t *testing.T, console string) (r *report, problems []string, shown string) {
	t.Helper()
	var out strings.Builder
	r = newReport(&out, regexp.MustCompile("^(TestWatch|TestServer/.*)$"), []string{"device", "netns"})
	if err := read(strings.NewReader(strings.ReplaceAll(console, "\n", "\r\n")), r); err != nil {
		t.Fatal(err)
	}
	problems = r.problems()
	return r, problems, out.String()
}

func TestGoodRun(t *testing.T) {
	r, problems, out := follow(t, good)
	if len(problems) > 0 {
		t.Errorf("problems: %q", problems)
	}
	if r.passed != 2 || r.failed != 0 || !slices.Equal(r.skipped, []string{"TestWatch"}) {
		t.Errorf("passed %d, failed %d, skipped %v", r.passed, r.failed, r.skipped)
	}
	for _, want := range []string{"Linux 6.1.0\n", "platform: Linux 6.1.0, hooks: clsact\n", "the kernel has WireGuard\n", "--- PASS: TestRoutes"} {
		if !strings.Contains(out, want) {
			t.Errorf("the output lacks %q:\n%s", want, out)
		}
	}
	if strings.Contains(out, "noise") {
		t.Errorf("a passing test's output is shown:\n%s", out)
	}
}

func TestProblems(t *testing.T) {
	for _, c := range []struct {
		name, old, new string
		want           []string
		shown          string
	}{
		{
			"a test fails", "--- PASS: TestRoutes (0.21s)", "--- FAIL: TestRoutes (0.21s)",
			[]string{"device ended with status 0, and no test passed"}, "noise",
		},
		{"a binary fails", "exit netns 0", "exit netns 2", []string{"netns ended with status 2"}, ""},
		{
			"a binary crashes", "--- PASS: TestPlatform (0.01s)\nPASS\n\n@@ exit netns 0", "panic: oh\n\n@@ exit netns 2",
			[]string{"netns ended with status 2"}, "panic: oh",
		},
		{"a binary does not run", "@@ run netns", "@@ end\n", []string{"netns did not end"}, ""},
		{
			"the guest dies", "--- PASS: TestPlatform (0.01s)\nPASS\n\n@@ exit netns 0\n@@ end\n", "Kernel panic\n",
			[]string{"netns did not end", "the guest did not reach its end"}, "Kernel panic",
		},
		{
			"a test is skipped", "--- PASS: TestPlatform", "--- PASS: TestOther (0s)\n--- SKIP: TestPlatform",
			[]string{"TestPlatform was skipped and has to run here"}, "",
		},
		{
			"a subtest is skipped", "PASS\n\n@@ exit netns", "    --- SKIP: TestPlatform/IPv6 (0.0s)\n\n@@ exit netns",
			[]string{"TestPlatform/IPv6 was skipped and has to run here"}, "",
		},
		{"a subtest is skipped that may be", "PASS\n\n@@ exit netns", "    --- SKIP: TestServer/SIGTERM (0.0s)\n\n@@ exit netns", nil, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			console := strings.Replace(good, c.old, c.new, 1)
			if console == good {
				t.Fatal("nothing replaced")
			}
			if before, _, ok := strings.Cut(console, "@@ end\n"); ok {
				console = before + "@@ end\n"
			}
			_, got, out := follow(t, console)
			if !slices.Equal(got, c.want) {
				t.Errorf("got %q, want %q", got, c.want)
			}
			if !strings.Contains(out, c.shown) {
				t.Errorf("%q is not shown:\n%s", c.shown, out)
			}
		})
	}
}
