package userspace

import (
	"context"
	"os"
	"runtime"
	"time"
)

// A packet passes four goroutines on its way through WireGuard. Where more
// processors are free than are needed, Go's scheduler wakes another thread for
// each step, which costs more than the step itself. So the process takes one
// processor, and more while these are not enough.
const (
	// lookInterval is how often the process looks at what it used.
	lookInterval = 200 * time.Millisecond
	// calmLooks is for how many looks in a row it has to need less before it
	// gives processors back.
	calmLooks = 10
	// crowdedLooks is for how many looks in a row others have to crowd it out
	// before it takes more: of a thread that wakes after a rest the kernel has
	// been seen to tell, once, that it had waited all the time.
	crowdedLooks = 3
	// bestKept is how much of the most that was used a look later still counts:
	// after a minute of being crowded out it is forgotten, after a moment it is
	// what more processors are measured by.
	bestKept = 0.99
)

// Shares of the time of the processors that the process may use.
const (
	fullShare = 0.9 // used by this much, they are not enough
	calmShare = 0.4 // used by less, half of them would do
)

// bulkBatch is how many packets cross at a time from which on several
// processors find work at once.
const bulkBatch = 4

// starved is how many times as long as they run threads wait from which on more
// of them help whatever there is to carry.
const starved = 2

// More processors are kept only if they bring something. Where others, or the
// other end of the tunnel, are what a process waits for, more threads of it only
// take turns with each other.
const (
	// trialLooks is for how many busy looks it may go on without using more.
	trialLooks = 5
	// trialGain is how many times as much as before it has to use.
	trialGain = 1.15
	// restLooks is for how many looks it takes no more after a trial that brought
	// nothing; it doubles so many times with further ones. What comes meanwhile
	// and needs more has to wait for that long.
	restLooks     = 50
	restDoublings = 1
)

// processors decides how many processors goroutines may use, between 1 and most.
type processors struct {
	now, most int
	calm      int     // looks in a row
	crowded   int     // looks in a row
	best      float64 // the most that was used of late
	trial     trial   // of those that were taken last
	failed    int     // trials in a row that brought nothing
	rest      int     // looks for which no more are taken
}

// trial is whether more processors bring something.
type trial struct {
	looks  int     // left; 0: there is none
	had    int     // processors before
	before float64 // the most that was used then
}

// look takes in how many processors' time the process used since the last look,
// for how much of it threads that could run waited for a processor, and how
// many packets crossed at a time. It gives the number for the time to come.
//
// A process that waits more than it runs is being crowded out by others. With
// bulk to carry, more threads bring it a larger share, as they do for a
// WireGuard that has taken all processors from the start. Packets that come one
// by one would only wait for more threads, each behind others, unless a single
// thread's share is too small even for them.
func (p *processors) look(used, waited, batch float64) int {
	wanted := used
	if batch >= bulkBatch || waited > starved*used {
		wanted += waited
	}
	full := fullShare * float64(p.now)
	if waited > used && wanted >= full {
		p.crowded++
	} else {
		p.crowded = 0
	}
	p.best = max(used, bestKept*p.best)
	p.rest = max(p.rest-1, 0)
	p.judge(used, waited)
	switch {
	case used >= full, p.crowded >= crowdedLooks:
		p.more()
	case wanted >= calmShare*float64(p.now):
		p.calm = 0
	default:
		p.calm++
	}
	if p.calm >= calmLooks {
		p.calm, p.failed, p.trial = 0, 0, trial{}
		p.now = max(p.now/2, 1)
	}
	return p.now
}

// more takes twice as many, on trial.
func (p *processors) more() {
	p.calm, p.crowded = 0, 0
	if p.now == p.most || p.trial.looks > 0 || p.rest > 0 {
		return
	}
	p.trial = trial{looks: trialLooks, had: p.now, before: min(p.best, float64(p.now))}
	p.now = min(2*p.now, p.most)
}

// judge ends a trial once more is used than before, or goes back after it. Looks
// in which what it had would have been enough tell nothing.
func (p *processors) judge(used, waited float64) {
	t := &p.trial
	switch {
	case t.looks == 0 || used+waited < fullShare*float64(t.had):
		return
	case used >= trialGain*t.before:
		t.looks, p.failed = 0, 0
		return
	}
	if t.looks--; t.looks == 0 {
		p.now, p.crowded = t.had, 0
		p.rest = restLooks << min(p.failed, restDoublings)
		p.failed++
	}
}

// adaptProcessors keeps the number of processors (GOMAXPROCS) to what the
// process needs until ctx ends. It leaves a number that the environment sets.
func adaptProcessors(ctx context.Context, crossing *traffic) {
	if most := runtime.GOMAXPROCS(0); most > 1 && os.Getenv("GOMAXPROCS") == "" {
		p := processors{now: 1, most: most}
		p.follow(ctx, crossing, readUsage, func(count int) { runtime.GOMAXPROCS(count) })
	}
}

// follow sets what the process needs until ctx ends, or for as long as the
// kernel tells what its threads use; after that all processors.
func (p *processors) follow(ctx context.Context, crossing *traffic, read func() (usage, error), set func(int)) {
	before, err := read()
	if err != nil {
		return
	}
	set(p.now)
	defer set(p.most)
	ticker := time.NewTicker(lookInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		after, err := read()
		if err != nil {
			return
		}
		had := p.now
		used, waited := after.since(before)
		if p.look(used, waited, crossing.batch()) != had {
			set(p.now) // stops all goroutines for some microseconds
		}
		before = after
	}
}
