package main

import (
	"context"
	"log/slog"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// steady is how long a child runs that did not fail at its start.
	steady = 10 * time.Second
	// pause comes before the next child if one did.
	pause = time.Second
	// farewell is how long a child may take to end.
	farewell = 3 * time.Second
)

// supervise starts a child that serves, again whenever it ends, until ctx does.
func supervise(ctx context.Context, mtu int, log *slog.Logger) error {
	runtime.LockOSThread() // a child dies with the thread that started it
	for {
		began := time.Now()
		err := child(ctx, mtu).Run()
		if ctx.Err() != nil {
			return nil
		}
		log.Error("the serving process has ended; starting it again", "error", err)
		if time.Since(began) >= steady {
			continue
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause):
		}
	}
}

func child(ctx context.Context, mtu int) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "/proc/self/exe", "--serve", "--mtu", strconv.Itoa(mtu))
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.SysProcAttr = &unix.SysProcAttr{Pdeathsig: unix.SIGKILL}
	cmd.Cancel = func() error { return cmd.Process.Signal(unix.SIGTERM) }
	cmd.WaitDelay = farewell
	return cmd
}
