package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"

	"github.com/cilium/ebpf"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// member is a node of a fleet as the measurement sees it.
type member struct {
	cmd    *exec.Cmd
	alive  io.Closer // closing it ends the member
	lines  *bufio.Scanner
	seen   chan sight
	agent  int // process ID
	state  *ebpf.Map
	tables *ebpf.Map // of identities
}

// fleet is nodes in namespaces of their own, each with an agent and a bare
// watch.
type fleet []*member

// newFleet starts nodes of which the objects exist, and waits until all of them
// take pods.
func newFleet(o options, count int) (fleet, error) {
	var f fleet
	for n := range count {
		m, err := startMember(o, n)
		if err != nil {
			return f, errors.Join(err, f.close())
		}
		f = append(f, m)
	}
	for n, m := range f {
		if err := m.join(); err != nil {
			return f, errors.Join(fmt.Errorf("node %d: %w", n, err), f.close())
		}
	}
	return f, nil
}

func startMember(o options, n int) (*member, error) {
	cmd := exec.Command("/proc/self/exe", "-member", strconv.Itoa(n), "-commands", o.commands) // close ends it, and what it started
	cmd.Stderr = o.log
	cmd.SysProcAttr = &unix.SysProcAttr{Cloneflags: unix.CLONE_NEWNET | unix.CLONE_NEWNS}
	alive, inErr := cmd.StdinPipe()
	out, outErr := cmd.StdoutPipe()
	if err := errors.Join(inErr, outErr); err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start node %d: %w", n, err)
	}
	m := &member{cmd: cmd, alive: alive, lines: bufio.NewScanner(out), seen: make(chan sight, 1000)}
	if err := m.uplink(n); err != nil {
		return nil, errors.Join(fmt.Errorf("uplink of node %d: %w", n, err), m.close())
	}
	return m, nil
}

// uplink joins the member's network namespace with this one.
func (m *member) uplink(n int) error {
	link := &netlink.Veth{
		LinkAttrs: netlink.LinkAttrs{Name: fmt.Sprintf("node%d", n)},
		PeerName:  uplink, PeerNamespace: netlink.NsPid(m.cmd.Process.Pid),
	}
	addr, err := netlink.ParseAddr(uplinkAddr(n, 1))
	if err != nil {
		return err
	}
	return errors.Join(netlink.LinkAdd(link), netlink.AddrAdd(link, addr), netlink.LinkSetUp(link))
}

// join waits for the member's agent, and opens the kernel's tables that it fills.
func (m *member) join() error {
	var j joined
	if !m.lines.Scan() {
		return errors.Join(errors.New("it has ended"), m.lines.Err())
	}
	if err := json.Unmarshal(m.lines.Bytes(), &j); err != nil {
		return err
	}
	m.agent = j.Agent
	dirs, err := filepath.Glob(fmt.Sprintf("/proc/%d/root%s", m.cmd.Process.Pid, j.Maps))
	if err != nil || len(dirs) != 1 {
		return fmt.Errorf("pinned tables: %v, %w", dirs, err)
	}
	var stateErr, tablesErr error
	m.state, stateErr = ebpf.LoadPinnedMap(filepath.Join(dirs[0], "policy_state"), &ebpf.LoadPinOptions{ReadOnly: true})
	m.tables, tablesErr = ebpf.LoadPinnedMap(filepath.Join(dirs[0], "identities"), &ebpf.LoadPinOptions{ReadOnly: true})
	go m.read()
	return errors.Join(stateErr, tablesErr)
}

// read passes on what the bare watch sees.
func (m *member) read() {
	for m.lines.Scan() {
		var s sight
		if json.Unmarshal(m.lines.Bytes(), &s) == nil {
			m.seen <- s
		}
	}
	close(m.seen)
}

// turn lets either the agents or the bare watches run; the others stand still.
func (f fleet) turn(agents bool) error {
	var errs []error
	for _, m := range f {
		running, still := m.agent, m.cmd.Process.Pid
		if !agents {
			running, still = still, running
		}
		errs = append(errs, unix.Kill(still, unix.SIGSTOP), unix.Kill(running, unix.SIGCONT))
	}
	return errors.Join(errs...)
}

// close ends all members.
func (f fleet) close() error {
	var errs []error
	for _, m := range f {
		errs = append(errs, m.close())
	}
	return errors.Join(errs...)
}

func (m *member) close() error {
	for _, table := range []*ebpf.Map{m.state, m.tables} {
		if table != nil {
			_ = table.Close() // it was only read
		}
	}
	for _, process := range []int{m.cmd.Process.Pid, m.agent} {
		if process != 0 {
			_ = unix.Kill(process, unix.SIGCONT) // it has ended, perhaps
		}
	}
	err := m.alive.Close()
	if waitErr := m.cmd.Wait(); waitErr != nil && !errors.Is(waitErr, os.ErrProcessDone) {
		err = errors.Join(err, waitErr)
	}
	return err
}
