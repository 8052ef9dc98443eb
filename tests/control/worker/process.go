package worker

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// Process is a command that runs; its output goes to a file.
type Process struct {
	cmd  *exec.Cmd
	log  string
	done chan struct{}
}

// Start starts one of the commands. Who calls it has to stop it.
func (n *Node) Start(command string, args ...string) (*Process, error) {
	p := &Process{cmd: exec.Command(filepath.Join(n.cfg.Commands, command), args...), log: n.Path(command + ".log"), done: make(chan struct{})}
	log, err := os.Create(p.log)
	if err != nil {
		return nil, err
	}
	p.cmd.Stdout, p.cmd.Stderr = log, log
	err = errors.Join(p.cmd.Start(), log.Close())
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", command, err)
	}
	go func() { _ = p.cmd.Wait(); close(p.done) }() // how it ended stands in its log
	return p, nil
}

// ID is the process's.
func (p *Process) ID() int { return p.cmd.Process.Pid }

// Ended says whether the process has.
func (p *Process) Ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// Said is the end of what the process wrote.
func (p *Process) Said() string {
	text, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	return string(text[max(0, len(text)-2000):])
}

// Stop ends the process, by force after 10 s.
func (p *Process) Stop() {
	_ = p.cmd.Process.Signal(unix.SIGTERM) // ended already, perhaps
	select {
	case <-p.done:
	case <-time.After(10 * time.Second):
		_ = p.cmd.Process.Kill()
		<-p.done
	}
}
