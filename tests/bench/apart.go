package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/signet-cni/signet/tests/bench/report"
	"github.com/signet-cni/signet/tests/netns/harness"
)

// measureApart lets tests/bench/agent measure a case, with an API server of its
// own and in namespaces of its own.
func measureApart(name string) func(*lab) ([]report.Row, error) {
	return func(t *lab) ([]report.Row, error) {
		return rowsOf(t, func(file string) *exec.Cmd {
			return exec.Command("tests/control/control.sh", "--apart", "build/bench/agent",
				"-case", name, "-rounds", strconv.Itoa(t.effort.Rounds), "-until", t.effort.Until.Format(time.RFC3339Nano),
				"-plugins", t.plugins, "-out", file)
		})
	}
}

// rowsOf runs a command that writes rows to the file of the given name.
func rowsOf(t *lab, command func(file string) *exec.Cmd) (rows []report.Row, err error) {
	dir, err := os.MkdirTemp(harness.Scratch(), "rows-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "rows.json")
	cmd := command(file)
	cmd.Stdout, cmd.Stderr = t.log, t.log
	cmd.SysProcAttr = &unix.SysProcAttr{Pdeathsig: unix.SIGTERM}
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("%s: %w", cmd, err)
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	return rows, json.Unmarshal(data, &rows)
}
