package harness

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"runtime"

	"golang.org/x/sys/unix"
)

// envScratch names the laboratory's directory.
const envScratch = "SIGNET_NETNS_SCRATCH"

// Scratch is the directory for what has to go when the laboratory ends, however
// it ends; "" outside, which stands for that of temporary files (os.MkdirTemp).
func Scratch() string { return os.Getenv(envScratch) }

// enter runs this binary again, as the laboratory. Nothing of it stays when it
// ends or a signal ends it: its processes die with it, and its files lie in one
// directory.
func enter() int {
	if err := runInside(); err != nil {
		fmt.Fprintln(os.Stderr, "laboratory:", err)
		return exitTrouble
	}
	return 0
}

func runInside() error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, unix.SIGTERM)
	defer stop()
	scratch, err := os.MkdirTemp("", "signet-netns-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(scratch) // nothing of value
	cmd := itself(roleInside, os.Args[1:]...)
	cmd.Env = append(cmd.Env, envScratch+"="+scratch)
	cmd.SysProcAttr.Cloneflags = unix.CLONE_NEWNET | unix.CLONE_NEWNS
	runtime.LockOSThread() // the child dies with this thread
	if err := cmd.Start(); err != nil {
		return err
	}
	defer context.AfterFunc(ctx, func() { _ = cmd.Process.Kill() })()
	return cmd.Wait()
}
