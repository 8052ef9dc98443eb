package main

import (
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

const good = `@@ Linux 6.1.0
@@ next
@@ next
device#0 === RUN   TestRoutes
device#0     routes_test.go:7: noise
netns#1 === RUN   TestPlatform
device#0 --- PASS: TestRoutes (0.21s)
device#0 === RUN   TestWatch
netns#1     platform_test.go:5: platform: Linux 6.1.0, hooks: clsact
device#0     watch_test.go:9: the kernel has WireGuard
device#0 --- SKIP: TestWatch (0.00s)
device#0 PASS
device#0 @@ exit 0
netns#1 --- PASS: TestPlatform (0.01s)
netns#1 PASS
netns#1 @@ exit 0
@@ next
@@ end
`

// suites is what a guest has to run.
func suites() queue {
	return append(split("device", "/src/device.test", "TestRoutes\nTestWatch\nok\n", 2),
		split("netns", "/src/netns.test", "TestBlocks\nTestPlatform\nBenchmarkX\n", 1)[1:]...)
}

// follow reports on the console of a guest that gets all units.
func follow(t *testing.T, console string) (r *report, problems []string, shown string) {
	t.Helper()
	var out strings.Builder
	left := suites()
	r = newReport(&out, regexp.MustCompile("^(device: TestWatch|netns: TestServer/.*)$"), left)
	err := read(strings.NewReader(strings.ReplaceAll(console, "\n", "\r\n")), func(line string) {
		if r.line(line) {
			if u, ok := left.take(); ok {
				r.expect(u)
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	problems = r.problems()
	if !r.ended {
		problems = append(problems, "no end")
	}
	return r, problems, out.String()
}

func TestQueue(t *testing.T) {
	left := suites()
	var got []string
	for u, ok := left.take(); ok; u, ok = left.take() {
		got = append(got, u.order())
	}
	want := []string{"device#0 /src/device.test ^(TestRoutes|TestWatch)$", "netns#1 /src/netns.test ^(TestPlatform)$"}
	if !slices.Equal(got, want) {
		t.Errorf("orders %q, want %q", got, want)
	}
	if units := split("x", "", "TestA\nTestB\nFuzzC\nExampleD\nTestE\n", 2); len(units) != 3 || !slices.Equal(units[1].tests, []string{"FuzzC", "ExampleD"}) {
		t.Errorf("units %v", units)
	}
}

// TestTooLong: a boot that takes longer than it may fails, unless it had to wait
// for the processors.
func TestTooLong(t *testing.T) {
	o := options{limit: time.Minute}
	for _, c := range []struct {
		took, used time.Duration
		bad        bool
	}{
		{time.Minute, 2 * time.Minute, false},
		{61 * time.Second, 2 * time.Minute, true},
		{5 * time.Minute, 59 * time.Second, false},
	} {
		if problem := o.tooLong(1, outcome{took: c.took, used: c.used}); (problem != "") != c.bad {
			t.Errorf("%s with %s of processor time: %q", c.took, c.used, problem)
		}
	}
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
			[]string{"device passed no test"},
			"noise",
		},
		{"a binary fails", "netns#1 @@ exit 0", "netns#1 @@ exit 2", []string{"netns#1 ended with status 2"}, ""},
		{
			"a binary crashes", "netns#1 --- PASS: TestPlatform (0.01s)\nnetns#1 PASS\nnetns#1 @@ exit 0", "netns#1 panic: oh\nnetns#1 @@ exit 2",
			[]string{"netns passed no test", "netns#1 ended with status 2", "netns: TestPlatform did not run"},
			"panic: oh",
		},
		{"a binary does not end", "netns#1 @@ exit 0\n", "", []string{"netns#1 did not end"}, ""},
		{
			"the guest dies", "netns#1 PASS\nnetns#1 @@ exit 0\n@@ next\n@@ end\n", "netns#1 noise\nKernel panic\n",
			[]string{"netns#1 did not end", "no end"},
			"Kernel panic",
		},
		{
			"a test is skipped", "netns#1 PASS", "netns#1 --- SKIP: TestOther (0s)",
			[]string{"netns: TestOther was skipped and has to run here"},
			"",
		},
		{
			"a subtest is skipped", "netns#1 PASS", "netns#1     --- SKIP: TestPlatform/IPv6 (0.0s)",
			[]string{"netns: TestPlatform/IPv6 was skipped and has to run here"},
			"",
		},
		{
			"a test is not run", "device#0 --- SKIP: TestWatch (0.00s)\n", "",
			[]string{"device: TestWatch did not run"},
			"",
		},
		{
			"a test is run twice", "netns#1 PASS", "netns#1 --- PASS: TestPlatform (0s)",
			[]string{"netns: TestPlatform ran 2 times"},
			"",
		},
		{"a subtest is skipped that may be", "netns#1 PASS", "netns#1     --- SKIP: TestServer/SIGTERM (0.0s)", nil, ""},
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
