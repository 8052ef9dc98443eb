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
)

const mebibyte = 1 << 20

// Resident gives a process's resident memory in MiB.
func (p *Process) Resident() (float64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	kilobytes, err := field(text, "VmRSS:")
	return float64(kilobytes) * 1024 / mebibyte, err
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
