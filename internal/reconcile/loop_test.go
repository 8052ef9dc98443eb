package reconcile

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"time"
)

// fakeClock stands still until advanced.
type fakeClock struct {
	mu      sync.Mutex
	now     time.Time
	pending []alarm
	asked   chan time.Duration // every After, in order
}

type alarm struct {
	at time.Time
	c  chan time.Time
}

func newFakeClock() *fakeClock {
	return &fakeClock{now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), asked: make(chan time.Duration, 100)}
}

func (c *fakeClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *fakeClock) After(d time.Duration) <-chan time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := make(chan time.Time, 1)
	if d <= 0 {
		out <- c.now
	} else {
		c.pending = append(c.pending, alarm{c.now.Add(d), out})
	}
	c.asked <- d
	return out
}

func (c *fakeClock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
	var later []alarm
	for _, a := range c.pending {
		if a.at.After(c.now) {
			later = append(later, a)
			continue
		}
		a.c <- c.now
	}
	c.pending = later
}

// rig is a loop whose runs the test answers one by one.
type rig struct {
	*Loop
	t     *testing.T
	clock *fakeClock
	begun chan struct{}
	ends  chan error
	stop  func()
}

const interval = time.Second

func start(t *testing.T) *rig {
	t.Helper()
	r := &rig{t: t, clock: newFakeClock(), begun: make(chan struct{}), ends: make(chan error)}
	r.Loop = New(Config{
		Name: "test", MinInterval: interval, Backoff: 4 * time.Second, MaxBackoff: 10 * time.Second,
		Clock: r.clock, Log: slog.New(slog.DiscardHandler),
		Do: func(ctx context.Context) error {
			select {
			case r.begun <- struct{}{}:
			case <-ctx.Done():
				return ctx.Err()
			}
			select {
			case err := <-r.ends:
				return err
			case <-ctx.Done():
				return ctx.Err()
			}
		},
	})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); r.Run(ctx) }()
	r.stop = func() { cancel(); <-done }
	t.Cleanup(r.stop)
	return r
}

// run expects a run to begin, and ends it.
func (r *rig) run(err error) {
	r.t.Helper()
	r.expectBegin()
	r.ends <- err
}

func (r *rig) expectBegin() {
	r.t.Helper()
	select {
	case <-r.begun:
	case <-time.After(5 * time.Second):
		r.t.Fatal("no run began")
	}
	r.expectAfter(interval)
}

func (r *rig) expectAfter(want time.Duration) {
	r.t.Helper()
	select {
	case got := <-r.clock.asked:
		if got != want {
			r.t.Fatalf("waits %s, want %s", got, want)
		}
	case <-time.After(5 * time.Second):
		r.t.Fatal("does not wait")
	}
}

func (r *rig) expectQuiet() {
	r.t.Helper()
	select {
	case <-r.begun:
		r.t.Fatal("a run that nobody asked for")
	case <-time.After(20 * time.Millisecond):
	}
}

func TestRunsAtOnceThenWhenPoked(t *testing.T) {
	r := start(t)
	r.run(nil)
	r.clock.advance(interval)
	r.expectQuiet()
	r.Poke()
	r.run(nil)
}

func TestPokesCoalesce(t *testing.T) {
	r := start(t)
	r.expectBegin()
	for range 50 {
		r.Poke()
	}
	r.ends <- nil
	r.expectQuiet() // the interval is not over
	r.clock.advance(interval)
	r.run(nil)
	r.clock.advance(interval)
	r.expectQuiet()
}

func TestBackoff(t *testing.T) {
	r := start(t)
	failure := errors.New("broken")
	for _, want := range []time.Duration{4 * time.Second, 8 * time.Second, 10 * time.Second, 10 * time.Second} {
		r.run(failure)
		r.expectAfter(want)
		r.clock.advance(want - time.Millisecond)
		r.expectQuiet()
		r.clock.advance(time.Millisecond)
	}
	r.run(nil)
	stats := r.wait(5)
	if stats.Failures != 4 || stats.InRow != 0 || stats.Error != nil || !stats.Success.Equal(r.clock.Now()) {
		t.Errorf("stats %+v", stats)
	}
	r.clock.advance(interval)
	r.Poke()
	r.run(failure)
	r.expectAfter(4 * time.Second) // begins anew
	if stats := r.wait(6); stats.InRow != 1 || !errors.Is(stats.Error, failure) {
		t.Errorf("stats %+v", stats)
	}
}

func TestPokeEndsBackoff(t *testing.T) {
	r := start(t)
	r.run(errors.New("broken"))
	r.expectAfter(4 * time.Second)
	r.Poke()
	r.expectQuiet() // not before the interval is over
	r.clock.advance(interval)
	r.run(nil)
	r.clock.advance(time.Minute)
	r.expectQuiet() // the retry is forgotten
}

// wait gives the stats after that many runs.
func (r *rig) wait(runs uint64) Stats {
	r.t.Helper()
	for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		if stats := r.Stats(); stats.Runs >= runs {
			return stats
		}
	}
	r.t.Fatalf("not %d runs", runs)
	return Stats{}
}

func (r *rig) sync() chan error {
	r.t.Helper()
	done := make(chan error, 1)
	before := r.queued()
	go func() { done <- r.Sync(context.Background()) }()
	for deadline := time.Now().Add(5 * time.Second); r.queued() == before; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			r.t.Fatal("Sync does not queue")
		}
	}
	return done
}

func (r *rig) queued() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.waiting)
}

func TestSyncWaitsForALaterRun(t *testing.T) {
	r := start(t)
	r.expectBegin()
	first := r.sync()
	r.ends <- nil // the run that was under way does not count
	r.clock.advance(interval)
	r.expectBegin()
	select {
	case err := <-first:
		t.Fatalf("answered early: %v", err)
	case <-time.After(20 * time.Millisecond):
	}
	failure := errors.New("broken")
	r.ends <- failure
	if err := <-first; !errors.Is(err, failure) {
		t.Errorf("got %v", err)
	}
}

func TestSyncEnds(t *testing.T) {
	r := start(t)
	r.expectBegin()
	ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
	defer cancel()
	if err := r.Sync(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("own context: %v", err)
	}
	pending := r.sync()
	r.stop()
	if err := <-pending; !errors.Is(err, ErrStopped) {
		t.Errorf("loop ends: %v", err)
	}
	if err := r.Sync(context.Background()); !errors.Is(err, ErrStopped) {
		t.Errorf("loop ended: %v", err)
	}
	if stats := r.Stats(); stats.Runs != 0 {
		t.Errorf("a cancelled run counts: %+v", stats)
	}
}

func TestSystemClock(t *testing.T) {
	ran := make(chan struct{}, 1)
	loop := New(Config{Log: slog.New(slog.DiscardHandler), Do: func(context.Context) error {
		select {
		case ran <- struct{}{}:
		default:
		}
		return nil
	}})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); loop.Run(ctx) }()
	<-ran
	if err := loop.Sync(ctx); err != nil {
		t.Error(err)
	}
	cancel()
	<-done
}
