package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"regexp"
	"runtime"
	"strings"
	"syscall"
	"time"
)

type options struct {
	accel, kernel, initrd, append, console string

	timeout time.Duration
	maySkip *regexp.Regexp
	tests   []string
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
	ctx, cancel := context.WithTimeoutCause(ctx, o.timeout, fmt.Errorf("not at its end after %s", o.timeout))
	defer cancel()

	began := time.Now()
	r := newReport(os.Stdout, o.maySkip, o.tests)
	used, err := boot(ctx, o, r)
	problems := r.problems()
	if err != nil {
		problems = append(problems, err.Error())
	}
	for _, p := range problems {
		fmt.Println("FAIL ", p)
	}
	fmt.Printf("%d tests passed, %d failed, %d skipped, in %s with %s of processor time\n", r.passed, r.failed, len(r.skipped),
		time.Since(began).Round(time.Second), used.Round(time.Second))
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
	flag.DurationVar(&o.timeout, "timeout", 3*time.Minute, "how long the guest may run")
	maySkip := flag.String("may-skip", "", "regular `expression` of the tests that may be skipped")
	flag.Parse()
	var err error
	o.maySkip, err = regexp.Compile("^(" + *maySkip + ")$")
	o.tests = flag.Args()
	return o, err
}

// boot runs the guest to its end, which ctx can bring about, and says how
// much processor time that took.
func boot(ctx context.Context, o options, r *report) (used time.Duration, err error) {
	console, err := os.OpenFile(o.console, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return 0, err
	}
	defer console.Close()

	// QEMU 7.2 emulates cmpxchg16b wrongly: the guest must not use it.
	cmd := exec.CommandContext(ctx, "qemu-system-x86_64", "-accel", o.accel, "-cpu", "max,-cx16", "-smp", "2", "-m", "2048",
		"-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-kernel", o.kernel, "-initrd", o.initrd,
		"-append", strings.TrimSpace("console=ttyS0 panic=-1 "+o.append),
		"-chardev", "file,id=kernel,append=on,path="+o.console, "-serial", "chardev:kernel", "-serial", "stdio")
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return 0, err
	}
	runtime.LockOSThread() // the guest dies with this thread
	defer runtime.UnlockOSThread()
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	readErr := read(io.TeeReader(out, console), r)
	err = cmd.Wait()
	used = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	if ctx.Err() != nil {
		return used, fmt.Errorf("the guest was stopped: %w", context.Cause(ctx))
	}
	return used, errors.Join(readErr, err)
}

func read(in io.Reader, r *report) error {
	lines := bufio.NewReader(in)
	for {
		line, err := lines.ReadString('\n')
		if line != "" {
			r.line(strings.TrimRight(line, "\r\n"))
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read the console: %w", err)
		}
	}
}
