package report

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/signet-cni/signet/internal/cli/table"
)

// Report is what one run found.
type Report struct {
	Time   time.Time `json:"time"`
	Kernel string    `json:"kernel"`
	CPUs   int       `json:"cpus"`
	Rows   []Row     `json:"rows"`
}

// New describes this machine.
func New() *Report {
	return &Report{Time: time.Now().UTC().Truncate(time.Second), Kernel: kernel(), CPUs: runtime.NumCPU()}
}

// Add takes over rows.
func (r *Report) Add(rows ...Row) { r.Rows = append(r.Rows, rows...) }

// Print writes the table.
func (r *Report) Print(w io.Writer) error {
	t := table.New("CASE", "SIGNET", "BASELINE", "UNIT", "RATIO", "95 %", "TARGET", "RESULT", "LOAD")
	for _, row := range r.Rows {
		t.Add(row.Case, number(row.Figure), number(row.Baseline), row.Unit, number(row.Ratio), row.between(),
			row.Target.String(), table.Cell{Text: string(row.State), Colour: colour(row.State)}, fmt.Sprintf("%.1f", row.Load))
	}
	if _, err := fmt.Fprintf(w, "Linux %s, %d CPUs, %s\n", r.Kernel, r.CPUs, r.Time.Format(time.RFC3339)); err != nil {
		return err
	}
	return t.Write(w, false)
}

// number is empty for what was not measured.
func number(value float64) string {
	if value == 0 {
		return ""
	}
	return fmt.Sprintf("%.4g", value)
}

func (r Row) between() string {
	if len(r.Pairs) == 0 {
		return ""
	}
	return fmt.Sprintf("%.3f-%.3f", r.Low, r.High)
}

func colour(s State) table.Colour {
	switch s {
	case Passed:
		return table.Green
	case Missed:
		return table.Red
	}
	return table.Plain
}

// Save writes the report as JSON, replacing what was there.
func (r *Report) Save(path string) error {
	data, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, append(data, '\n'), 0o644)
}

// Err names the rows that missed their target or were too noisy to tell.
func (r *Report) Err() error {
	var errs []error
	for _, row := range r.Rows {
		if !row.Pass {
			errs = append(errs, fmt.Errorf("%s: %s", row.Case, row.State))
		}
	}
	return errors.Join(errs...)
}

func kernel() string {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return "unknown"
	}
	return unix.ByteSliceToString(u.Release[:])
}

// load is the load average of the last minute, -1 if the kernel does not tell.
func load() float64 {
	data, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return -1
	}
	var value float64
	if _, err := fmt.Fscan(strings.NewReader(string(data)), &value); err != nil {
		return -1
	}
	return value
}
