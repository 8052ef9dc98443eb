package main

import (
	"regexp"
	"slices"
	"strings"
	"testing"
)

const good = `@@ Linux 6.1.0
device === RUN   TestRoutes
device     routes_test.go:7: noise
netns === RUN   TestPlatform
device --- PASS: TestRoutes (0.21s)
device === RUN   TestWatch
netns     platform_test.go:5: platform: Linux 6.1.0, hooks: clsact
device     watch_test.go:9: the kernel has WireGuard
device --- SKIP: TestWatch (0.00s)
device PASS
device @@ exit 0
netns --- PASS: TestPlatform (0.01s)
netns PASS
netns @@ exit 0
@@ end
`

// follow reports on the console of a guest that has device and netns to run.
func follow(t *testing.T, console string) (r *report, problems []string, shown string) {
	t.Helper()
	var out strings.Builder
	r = newReport(&out, regexp.MustCompile("^(device: TestWatch|netns: TestServer/.*)$"), []string{"device", "netns"})
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
	if r.passed != 2 || r.failed != 0 || !slices.Equal(r.skipped, []string{"device: TestWatch"}) {
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
			[]string{"device passed no test"}, "noise",
		},
		{"a binary fails", "netns @@ exit 0", "netns @@ exit 2", []string{"netns ended with status 2"}, ""},
		{
			"a binary crashes", "netns --- PASS: TestPlatform (0.01s)\nnetns PASS\nnetns @@ exit 0", "netns panic: oh\nnetns @@ exit 2",
			[]string{"netns ended with status 2"}, "panic: oh",
		},
		{"a binary does not end", "netns @@ exit 0\n", "", []string{"netns did not end"}, ""},
		{
			"the guest dies", "netns PASS\nnetns @@ exit 0\n@@ end\n", "netns noise\nKernel panic\n",
			[]string{"netns did not end", "the guest did not reach its end"}, "Kernel panic",
		},
		{
			"a test is skipped", "netns PASS", "netns --- SKIP: TestOther (0s)",
			[]string{"netns: TestOther was skipped and has to run here"}, "",
		},
		{
			"a subtest is skipped", "netns PASS", "netns     --- SKIP: TestPlatform/IPv6 (0.0s)",
			[]string{"netns: TestPlatform/IPv6 was skipped and has to run here"}, "",
		},
		{"a subtest is skipped that may be", "netns PASS", "netns     --- SKIP: TestServer/SIGTERM (0.0s)", nil, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			console := strings.Replace(good, c.old, c.new, 1)
			if console == good {
				t.Fatal("nothing replaced")
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
