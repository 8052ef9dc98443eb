package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// qemu is the command line but for the guest's second serial port. The guest
// must not use cmpxchg16b, which QEMU 7.2 emulates wrongly, and should not use
// what is slow to emulate: page tables of five levels, string instructions in
// single bytes (with -erms alone, and not -fsrm, Linux 6.1 hangs), and checks of
// the kernel's accesses to user memory.
func (o options) qemu() []string {
	return []string{
		"-accel", o.accel, "-cpu", "max,-cx16,-la57,-erms,-fsrm,-smap", "-smp", "2", "-m", strconv.Itoa(o.memory),
		"-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-kernel", o.kernel, "-initrd", o.initrd,
		"-append", strings.TrimSpace("console=ttyS0 panic=-1 mitigations=off audit=0 " + o.append),
		"-chardev", "file,id=kernel,append=on,path=" + o.console, "-serial", "chardev:kernel",
	}
}

// outcome is what a boot took.
type outcome struct {
	took, used time.Duration // on the clock, and of processor time
	units      int           // that it was given
}

// boot runs a guest to its end, which ctx can bring about. Until o.budget has
// passed, it gets units of the queue.
func (o options) boot(ctx context.Context, left *queue, r *report) (outcome, error) {
	var got outcome
	console, err := os.OpenFile(o.console, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return got, err
	}
	defer console.Close()
	cmd := exec.CommandContext(ctx, "qemu-system-x86_64", append(o.qemu(), "-serial", "stdio")...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return got, err
	}
	in, err := cmd.StdinPipe()
	if err != nil {
		return got, err
	}
	runtime.LockOSThread() // the guest dies with this thread
	defer runtime.UnlockOSThread()
	began := time.Now()
	if err := cmd.Start(); err != nil {
		return got, err
	}
	readErr := read(io.TeeReader(out, console), func(line string) {
		if !r.line(line) {
			return
		}
		order := "end"
		if time.Since(began) < o.budget {
			if u, ok := left.take(); ok {
				r.expect(u)
				got.units++
				order = u.order()
			}
		}
		_, _ = fmt.Fprintln(in, order) // a guest that is gone asks for nothing
	})
	err = cmd.Wait()
	got.took, got.used = time.Since(began), cmd.ProcessState.UserTime()+cmd.ProcessState.SystemTime()
	if ctx.Err() != nil {
		return got, fmt.Errorf("the guest was stopped: %w", context.Cause(ctx))
	}
	return got, errors.Join(readErr, err)
}

func read(in io.Reader, take func(line string)) error {
	lines := bufio.NewReader(in)
	for {
		line, err := lines.ReadString('\n')
		if line != "" {
			take(strings.TrimRight(line, "\r\n"))
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read the console: %w", err)
		}
	}
}
