package reconcile

import "time"

// Clock is the time as a loop sees it.
type Clock interface {
	Now() time.Time
	// After sends once, d from now. With d of 0 or less it sends at once.
	After(d time.Duration) <-chan time.Time
}

type systemClock struct{}

func (systemClock) Now() time.Time                         { return time.Now() }
func (systemClock) After(d time.Duration) <-chan time.Time { return time.After(d) }
