package userspace

import (
	"context"
	"runtime"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// share is what was used, waited for, and how many packets crossed at a time.
type share struct{ used, waited, batch float64 }

func TestProcessors(t *testing.T) {
	calm := func(count int) []share { return make([]share, count) }
	for name, test := range map[string]struct {
		start, most int
		looks       []share
		want        int
	}{
		"at rest":                  {1, 8, calm(3 * calmLooks), 1},
		"one is enough":            {1, 8, []share{{0.8, 0.1, 40}, {0.85, 0.3, 40}, {0.7, 0.6, 40}}, 1},
		"one is used up":           {1, 8, []share{{0.95, 0, 1}}, 2},
		"each step is used up":     {1, 8, []share{{0.95, 0, 40}, {1.9, 0, 40}, {3.8, 0, 40}}, 8},
		"one step is enough":       {1, 8, []share{{0.95, 0, 40}, {1.5, 0, 40}, {1.5, 0, 40}}, 2},
		"no more than there are":   {4, 6, []share{{4, 0, 40}, {6, 0, 40}}, 6},
		"crowded out of bulk":      {1, 8, repeat(share{0.3, 0.7, 40}, crowdedLooks), 2},
		"crowded for too short":    {1, 8, repeat(share{0.3, 0.7, 40}, crowdedLooks-1), 1},
		"crowded now and then":     {1, 8, slices.Concat(repeat(share{0.3, 0.7, 40}, crowdedLooks-1), []share{{0.7, 0.3, 40}}, repeat(share{0.3, 0.7, 40}, crowdedLooks-1)), 1},
		"crowded with two":         {1, 8, append(repeat(share{0.3, 0.7, 40}, crowdedLooks), repeat(share{0.6, 1.4, 40}, crowdedLooks)...), 4},
		"two bring nothing":        {1, 8, append([]share{{0.95, 0, 40}}, repeat(share{0.8, 1.1, 40}, trialLooks)...), 1},
		"two are on trial":         {1, 8, append([]share{{0.95, 0, 40}}, repeat(share{0.8, 1.1, 40}, trialLooks-1)...), 2},
		"rest tells nothing":       {1, 8, slices.Concat([]share{{0.95, 0, 40}}, repeat(share{0.3, 0.1, 40}, calmLooks-1), []share{{1.5, 0, 40}}, repeat(share{0.8, 1.1, 40}, 2*trialLooks)), 2},
		"two bring some":           {1, 8, slices.Concat([]share{{0.95, 0, 40}, {0.8, 1.1, 40}, {1.2, 0.5, 40}}, repeat(share{0.8, 1.1, 40}, 2*trialLooks)), 2},
		"crowded, to no avail":     {1, 8, repeat(share{0.3, 1.7, 40}, crowdedLooks+trialLooks), 1},
		"crowded for a moment":     {1, 8, slices.Concat(repeat(share{0.8, 0.2, 40}, 5), repeat(share{0.4, 0.7, 40}, crowdedLooks), repeat(share{0.8, 1.1, 40}, trialLooks)), 1},
		"no second try at once":    {1, 8, repeat(share{0.95, 0.2, 40}, 1+trialLooks+restLooks-1), 1},
		"a second try":             {1, 8, repeat(share{0.95, 0.2, 40}, 1+trialLooks+restLooks), 2},
		"no third try so soon":     {1, 8, repeat(share{0.95, 0.2, 40}, 2*(1+trialLooks)+3*restLooks-2), 1},
		"a third try":              {1, 8, repeat(share{0.95, 0.2, 40}, 2*(1+trialLooks)+3*restLooks-1), 2},
		"no fourth try so soon":    {1, 8, repeat(share{0.95, 0.2, 40}, 3*(1+trialLooks)+5*restLooks-3), 1},
		"a fourth try":             {1, 8, repeat(share{0.95, 0.2, 40}, 3*(1+trialLooks)+5*restLooks-2), 2},
		"waited once, at rest":     {1, 8, []share{{0.7, 0.1, 32}, {0, 0.99, 0}, {0, 0.03, 0}}, 1},
		"crowded, one by one":      {1, 8, repeat(share{0.5, 0.9, 1}, 3), 1},
		"starved, one by one":      {1, 8, repeat(share{0.2, 0.8, 1}, crowdedLooks), 2},
		"starved of little":        {1, 8, repeat(share{0.1, 0.5, 1}, 3), 1},
		"waits but wants little":   {1, 8, []share{{0.1, 0.2, 40}}, 1},
		"calm for too short":       {8, 8, calm(calmLooks - 1), 8},
		"calm":                     {8, 8, calm(calmLooks), 4},
		"calm for long":            {8, 8, calm(3 * calmLooks), 1},
		"busy between":             {8, 8, append(append(calm(calmLooks-1), share{5, 0, 1}), calm(calmLooks-1)...), 8},
		"half would not do":        {2, 8, repeat(share{0.7, 0.15, 40}, 2*calmLooks), 2},
		"half would do":            {2, 8, repeat(share{0.7, 0, 40}, 2*calmLooks), 1},
		"half would do one by one": {2, 8, repeat(share{0.7, 1.2, 1}, calmLooks), 1},
		"starved with two":         {2, 8, repeat(share{0.4, 1, 1}, calmLooks), 2},
	} {
		t.Run(name, func(t *testing.T) {
			p := processors{now: test.start, most: test.most}
			for _, look := range test.looks {
				p.look(look.used, look.waited, look.batch)
			}
			if p.now != test.want {
				t.Errorf("%d processors, want %d", p.now, test.want)
			}
		})
	}
}

func repeat(s share, count int) (looks []share) {
	for range count {
		looks = append(looks, s)
	}
	return looks
}

// busy uses so many processors for a time.
type busy struct {
	until time.Duration
	used  float64
}

// play gives the readings of a process that is busy like that, then fails.
func play(phases ...busy) func() (usage, error) {
	began, last := time.Now(), usage{at: time.Now()}
	return func() (usage, error) {
		now := time.Now()
		for _, phase := range phases {
			if now.Sub(began) > phase.until {
				continue
			}
			last.ran += time.Duration(phase.used * float64(now.Sub(last.at)))
			last.at = now
			return last, nil
		}
		return usage{}, errNoUsage
	}
}

// One processor is taken at once, more when they are needed, and all when
// nothing tells any more what is needed.
func TestFollow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := processors{now: 1, most: 8}
		var set []int
		read := play(busy{10 * time.Second, 0.5}, busy{20 * time.Second, 1.5}, busy{30 * time.Second, 0.1})
		p.follow(t.Context(), &traffic{}, read, func(count int) { set = append(set, count) })
		if want := []int{1, 2, 1, 8}; !slices.Equal(set, want) {
			t.Errorf("set %v, want %v", set, want)
		}
	})
}

func TestFollowWithoutUsage(t *testing.T) {
	p := processors{now: 1, most: 8}
	p.follow(t.Context(), &traffic{}, play(), func(count int) { t.Errorf("set %d, although the kernel tells nothing", count) })
}

func TestFollowEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		p := processors{now: 1, most: 8}
		var set []int
		p.follow(ctx, &traffic{}, play(busy{time.Hour, 0.1}), func(count int) { set = append(set, count) })
		if want := []int{1, 8}; !slices.Equal(set, want) {
			t.Errorf("set %v, want %v", set, want)
		}
	})
}

func TestUsageOfLines(t *testing.T) {
	var u usage
	for _, line := range []string{"12 30 4\n", "100 200 1\n"} {
		if err := u.add(line); err != nil {
			t.Fatal(err)
		}
	}
	if u.ran != 112 || u.waiting != 230 {
		t.Errorf("ran %d, waited %d, want 112 and 230", u.ran, u.waiting)
	}
	for _, line := range []string{"", "1 2", "1 x 3", "x 2 3"} {
		if err := u.add(line); err == nil {
			t.Errorf("%q is taken", line)
		}
	}
}

func TestUsage(t *testing.T) {
	before, err := readUsage()
	if err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(50 * time.Millisecond); time.Now().Before(end); {
	}
	after, err := readUsage()
	if err != nil {
		t.Fatal(err)
	}
	used, waited := after.since(before)
	if used+waited < 0.5 || used > float64(runtime.NumCPU())+0.5 {
		t.Errorf("a busy loop used %.2f processors and waited for %.2f", used, waited)
	}
}

// The process itself begins with one processor and gives back what it had.
func TestAdaptProcessors(t *testing.T) {
	had := runtime.GOMAXPROCS(2)
	defer runtime.GOMAXPROCS(had)
	t.Setenv("GOMAXPROCS", "")
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		adaptProcessors(ctx, &traffic{})
	}()
	for end := time.Now().Add(5 * time.Second); runtime.GOMAXPROCS(0) != 1; runtime.Gosched() {
		if time.Now().After(end) {
			t.Fatal("the process goes on with all processors")
		}
	}
	cancel()
	<-done
	if now := runtime.GOMAXPROCS(0); now != 2 {
		t.Errorf("%d processors at the end, want 2", now)
	}
	t.Setenv("GOMAXPROCS", "2")
	adaptProcessors(t.Context(), &traffic{}) // returns
}
