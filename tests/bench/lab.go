package main

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"

	"github.com/signet-cni/signet/tests/bench/measure"
	"github.com/signet-cni/signet/tests/bench/report"
)

// lab stands for the test that the harness expects (harness.TB).
type lab struct {
	log     io.Writer
	effort  measure.Effort
	plugins string // directory of the CNI reference plugins

	mu       sync.Mutex
	cleanups []func()
	errs     []error
}

// fatal is what Fatalf panics with.
type fatal struct{ error }

// run calls f, then what it left to clean up.
func (l *lab) run(f func(*lab) ([]report.Row, error)) (rows []report.Row, err error) {
	defer func() {
		for _, cleanup := range slices.Backward(l.cleanups) {
			cleanup()
		}
		err = errors.Join(append(l.errs, err)...)
	}()
	defer func() {
		cause := recover()
		if f, ok := cause.(fatal); ok {
			err = f.error
		} else if cause != nil {
			panic(cause)
		}
	}()
	return f(l)
}

func (l *lab) Helper() {}

func (l *lab) Cleanup(f func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cleanups = append(l.cleanups, f)
}

func (l *lab) Logf(format string, args ...any) { fmt.Fprintf(l.log, format+"\n", args...) }

func (l *lab) Errorf(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.errs = append(l.errs, fmt.Errorf(format, args...))
}

func (l *lab) Fatalf(format string, args ...any) { panic(fatal{fmt.Errorf(format, args...)}) }

func (l *lab) Skipf(format string, args ...any) { l.Fatalf(format, args...) }
