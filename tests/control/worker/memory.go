package worker

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

const mebibyte = 1 << 20

// Resident gives the resident memory of a process and its children in MiB.
func (p *Process) Resident() (float64, error) {
	files, err := filepath.Glob("/proc/[0-9]*/status")
	if err != nil {
		return 0, err
	}
	var sum float64
	for _, file := range files {
		text, err := os.ReadFile(file)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ESRCH) {
			continue // it has ended meanwhile
		}
		if err != nil {
			return 0, err
		}
		id, idErr := field(text, "Pid:")
		parent, parentErr := field(text, "PPid:")
		if err := errors.Join(idErr, parentErr); err != nil {
			return 0, fmt.Errorf("%s: %w", file, err)
		}
		if own := p.cmd.Process.Pid; id != own && parent != own {
			continue
		}
		kilobytes, err := field(text, "VmRSS:")
		if err != nil {
			return 0, fmt.Errorf("%s: %w", file, err)
		}
		sum += float64(kilobytes) * 1024 / mebibyte
	}
	return sum, nil
}

// Maps gives the memory of the BPF maps that a process holds in MiB, as the
// kernel counts it.
func (p *Process) Maps() (all float64, err error) {
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/fdinfo/*", p.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	sizes := map[int]int{} // by map ID: a map can be open more than once
	for _, file := range files {
		text, err := os.ReadFile(file)
		if errors.Is(err, fs.ErrNotExist) {
			continue // closed meanwhile
		}
		if err != nil {
			return 0, err
		}
		if !bytes.Contains(text, []byte("map_id:")) {
			continue
		}
		id, idErr := field(text, "map_id:")
		size, sizeErr := field(text, "memlock:")
		if err := errors.Join(idErr, sizeErr); err != nil {
			return 0, fmt.Errorf("%s: %w", file, err)
		}
		sizes[id] = size
	}
	for _, size := range sizes {
		all += float64(size) / mebibyte
	}
	return all, nil
}

// field reads the number in the line that begins with name.
func field(text []byte, name string) (int, error) {
	for scan := bufio.NewScanner(bytes.NewReader(text)); scan.Scan(); {
		if rest, ok := strings.CutPrefix(scan.Text(), name); ok {
			return strconv.Atoi(strings.TrimSuffix(strings.TrimSpace(rest), " kB"))
		}
	}
	return 0, fmt.Errorf("no line %q", name)
}
