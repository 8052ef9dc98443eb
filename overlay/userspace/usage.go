package userspace

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// usage is what the process's threads have used since they started.
type usage struct {
	at      time.Time
	ran     time.Duration
	waiting time.Duration // could run, had no processor
}

// since gives what was used, and waited for, per time that passed: 1 is one
// processor's time.
func (u usage) since(before usage) (used, waited float64) {
	passed := float64(u.at.Sub(before.at))
	if passed <= 0 {
		return 0, 0
	}
	return max(0, float64(u.ran-before.ran)/passed), max(0, float64(u.waiting-before.waiting)/passed)
}

// errNoUsage is a kernel's that was built without CONFIG_SCHED_INFO.
var errNoUsage = errors.New("the kernel does not tell what threads use")

// readUsage adds up this process's threads (proc_pid_schedstat(5)). Those that
// have ended are not counted.
func readUsage() (u usage, err error) {
	const dir = "/proc/self/task"
	threads, err := os.ReadDir(dir)
	if err != nil {
		return u, fmt.Errorf("list threads: %w", err)
	}
	u.at = time.Now()
	read := 0
	for _, thread := range threads {
		text, err := os.ReadFile(filepath.Join(dir, thread.Name(), "schedstat"))
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ESRCH) {
			continue // it has ended
		}
		if err != nil {
			return u, fmt.Errorf("read what a thread used: %w", err)
		}
		if err := u.add(string(text)); err != nil {
			return u, err
		}
		read++
	}
	if read == 0 {
		return u, errNoUsage
	}
	return u, nil
}

// add takes in a thread's line: nanoseconds that it ran, nanoseconds that it
// waited, and how often it ran.
func (u *usage) add(line string) error {
	fields := strings.Fields(line)
	if len(fields) != 3 {
		return fmt.Errorf("schedstat %q, want 3 fields", line)
	}
	ran, err := strconv.ParseInt(fields[0], 10, 64)
	if err != nil {
		return fmt.Errorf("schedstat %q: %w", line, err)
	}
	waiting, err := strconv.ParseInt(fields[1], 10, 64)
	if err != nil {
		return fmt.Errorf("schedstat %q: %w", line, err)
	}
	u.ran += time.Duration(ran)
	u.waiting += time.Duration(waiting)
	return nil
}
