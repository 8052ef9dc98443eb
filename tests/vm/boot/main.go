package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"regexp"
	"syscall"
	"time"
)

type options struct {
	accel, kernel, initrd, append, console, tests string

	memory                 int // MiB
	timeout, limit, budget time.Duration

	maySkip *regexp.Regexp
	suites  []string
}

func main() { os.Exit(run()) }

func run() int {
	o, err := parseOptions()
	if err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		return 2
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	left, err := list(o.tests, o.suites)
	if err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		return 2
	}
	r := newReport(os.Stdout, o.maySkip, left)
	problems := o.bootAll(ctx, left, r)
	problems = append(problems, r.problems()...)
	for _, p := range problems {
		fmt.Println("FAIL ", p)
	}
	if len(problems) > 0 {
		return 1
	}
	return 0
}

func parseOptions() (options, error) {
	var o options
	flag.StringVar(&o.accel, "accel", "tcg", "QEMU's accelerator")
	flag.StringVar(&o.kernel, "kernel", "", "the kernel's `file`")
	flag.StringVar(&o.initrd, "initrd", "", "the initramfs `file`")
	flag.StringVar(&o.append, "append", "", "more for the kernel's command line; NAME=VALUE goes to init's environment")
	flag.StringVar(&o.console, "console", os.DevNull, "the `file` that gets both serial ports' output, at its end")
	flag.StringVar(&o.tests, "tests", "", "the `directory` that the guest has as /src")
	flag.IntVar(&o.memory, "memory", 2048, "the guest's memory in `MiB`")
	flag.DurationVar(&o.timeout, "timeout", 10*time.Minute, "how long a boot may go on before it is ended")
	flag.DurationVar(&o.limit, "limit", 3*time.Minute, "how long a boot may take")
	flag.DurationVar(&o.budget, "budget", 100*time.Second, "how long after its start a boot gets more to run")
	maySkip := flag.String("may-skip", "", "regular `expression` of the tests that may be skipped")
	flag.Parse()
	var err error
	o.maySkip, err = regexp.Compile("^(" + *maySkip + ")$")
	o.suites = flag.Args()
	return o, err
}

// bootAll boots until every unit has been run, once at least, and says what was
// wrong with the boots.
func (o options) bootAll(ctx context.Context, left queue, r *report) (problems []string) {
	began := time.Now()
	boots := 0
	for boots == 0 || len(left) > 0 {
		boots++
		problem, last := o.bootOnce(ctx, boots, &left, r)
		if problem != "" {
			problems = append(problems, problem)
		}
		if last {
			break
		}
	}
	fmt.Printf("%d tests passed, %d failed, %d skipped, in %d boots and %s\n",
		r.passed, r.failed, len(r.skipped), boots, time.Since(began).Round(time.Second))
	return problems
}

// bootOnce says what was wrong with a boot, and whether there is no point in
// another.
func (o options) bootOnce(ctx context.Context, number int, left *queue, r *report) (problem string, last bool) {
	ctx, cancel := context.WithTimeoutCause(ctx, o.timeout, fmt.Errorf("not at its end after %s", o.timeout))
	defer cancel()
	r.ended = false
	before := r.passed + r.failed + len(r.skipped)
	got, err := o.boot(ctx, left, r)
	fmt.Printf("boot %d: %d tests in %s of at most %s, with %s of processor time\n", number,
		r.passed+r.failed+len(r.skipped)-before, got.took.Round(time.Second), o.limit, got.used.Round(time.Second))
	switch {
	case err != nil:
		return withLastWords(fmt.Sprintf("boot %d: %v", number, err), o.console), true
	case !r.ended:
		return withLastWords(fmt.Sprintf("boot %d: the guest did not reach its end", number), o.console), true
	case got.units == 0 && len(*left) > 0:
		return fmt.Sprintf("boot %d asked for nothing to run", number), true
	}
	return o.tooLong(number, got), false
}

// tooLong is the problem of a boot that took longer than it may although it had
// the processors: one that got little of them says nothing about itself.
func (o options) tooLong(number int, got outcome) string {
	if got.took <= o.limit {
		return ""
	}
	if got.used <= o.limit {
		fmt.Printf("boot %d took longer than %s, as this machine had other things to do\n", number, o.limit)
		return ""
	}
	return fmt.Sprintf("boot %d took %s, more than %s", number, got.took.Round(time.Second), o.limit)
}
