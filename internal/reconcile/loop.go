// Package reconcile is the one loop that everything level triggered runs in:
// whoever learns of a change pokes, and the loop alone computes, applies, logs,
// counts and retries.
package reconcile

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"
)

// ErrStopped is what Sync returns if the loop ended before it got to it.
var ErrStopped = errors.New("the loop has stopped")

// Config of a loop. Do and Log are required.
type Config struct {
	Name string // for the log
	// Do brings what is into line with what should be. It takes its own
	// snapshot and may be told the same twice.
	Do func(context.Context) error
	// MinInterval is the least time from the start of a run to that of the
	// next; pokes in between become one run.
	MinInterval time.Duration
	// Backoff is the wait after a first failure, 100 ms by default. It doubles
	// with each further one, up to MaxBackoff, 30 s by default. A poke ends it.
	Backoff, MaxBackoff time.Duration
	Clock               Clock // nil: the system's
	Log                 *slog.Logger
}

const (
	defaultBackoff    = 100 * time.Millisecond
	defaultMaxBackoff = 30 * time.Second
)

// Stats counts what a loop has done.
type Stats struct {
	Runs     uint64 // ended, failures included
	Failures uint64
	InRow    uint64    // failures since the last success
	Error    error     // of the last run, nil if it succeeded
	Success  time.Time // end of the last success; zero: none yet
}

// Loop runs a function when poked. It is safe for concurrent use.
type Loop struct {
	config Config
	poked  chan struct{} // holds one: there is something to do

	mu      sync.Mutex
	stats   Stats
	waiting []chan error // of Sync, answered by the next run to begin
	stopped bool
}

// New makes a loop that does nothing until Run.
func New(config Config) *Loop {
	if config.Clock == nil {
		config.Clock = systemClock{}
	}
	if config.Backoff <= 0 {
		config.Backoff = defaultBackoff
	}
	if config.MaxBackoff <= 0 {
		config.MaxBackoff = defaultMaxBackoff
	}
	return &Loop{config: config, poked: make(chan struct{}, 1)}
}

// Poke asks for a run. It never blocks; pokes that arrive before the run
// begins become one, and one that arrives during a run leads to another.
func (l *Loop) Poke() {
	select {
	case l.poked <- struct{}{}:
	default:
	}
}

// Sync pokes, and waits for a run that began after the call. It gives that
// run's error, or the context's if it ends before.
func (l *Loop) Sync(ctx context.Context) error {
	done := make(chan error, 1)
	l.mu.Lock()
	if l.stopped {
		l.mu.Unlock()
		return ErrStopped
	}
	l.waiting = append(l.waiting, done)
	l.mu.Unlock()
	l.Poke()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Stats gives what the loop has done so far.
func (l *Loop) Stats() Stats {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.stats
}

// Run runs the loop until the context ends; the first run begins at once. It
// is called once.
func (l *Loop) Run(ctx context.Context) {
	defer l.stop()
	l.Poke()
	var retry <-chan time.Time // nil: the last run succeeded
	for {
		select {
		case <-ctx.Done():
			return
		case <-l.poked:
		case <-retry:
		}
		next := l.config.Clock.After(l.config.MinInterval)
		retry = l.round(ctx)
		select {
		case <-ctx.Done():
			return
		case <-next:
		}
	}
}

// round does one run and gives the time of the next attempt, if it failed.
func (l *Loop) round(ctx context.Context) <-chan time.Time {
	waiting := l.begin()
	err := l.config.Do(ctx)
	if ctx.Err() != nil {
		answer(waiting, ErrStopped)
		return nil
	}
	wait := l.end(err)
	answer(waiting, err)
	if err == nil {
		return nil
	}
	l.config.Log.Error("reconcile failed", "loop", l.config.Name, "error", err, "retry", wait)
	return l.config.Clock.After(wait)
}

// begin takes over everything that asked for a run up to now.
func (l *Loop) begin() []chan error {
	select {
	case <-l.poked:
	default:
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	waiting := l.waiting
	l.waiting = nil
	return waiting
}

// end counts a run and gives the backoff after a failure.
func (l *Loop) end(err error) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stats.Runs++
	l.stats.Error = err
	if err == nil {
		l.stats.InRow = 0
		l.stats.Success = l.config.Clock.Now()
		return 0
	}
	l.stats.Failures++
	l.stats.InRow++
	wait := l.config.Backoff
	for range l.stats.InRow - 1 {
		if wait >= l.config.MaxBackoff {
			break
		}
		wait *= 2
	}
	return min(wait, l.config.MaxBackoff)
}

func (l *Loop) stop() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stopped = true
	answer(l.waiting, ErrStopped)
	l.waiting = nil
}

func answer(waiting []chan error, err error) {
	for _, done := range waiting {
		done <- err
	}
}
