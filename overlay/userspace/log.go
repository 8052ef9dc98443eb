package userspace

import (
	"fmt"
	"log/slog"
	"sync"
	"time"

	"golang.zx2c4.com/wireguard/device"
)

// WireGuard reports some failures for each packet. At most errorBurst of them
// are logged in errorWindow, and then how many were not.
const (
	errorBurst  = 5
	errorWindow = 10 * time.Second
)

// newLogger passes WireGuard's own messages on: details at debug level, errors
// at a bounded rate.
func newLogger(log *slog.Logger) *device.Logger {
	limit := &limiter{now: time.Now}
	return &device.Logger{
		Verbosef: func(format string, args ...any) {
			log.Debug(fmt.Sprintf(format, args...)) //nolint:sloglint // WireGuard composes it
		},
		Errorf: func(format string, args ...any) {
			if ok, skipped := limit.allow(); ok {
				log.Error(fmt.Sprintf(format, args...), "skipped", skipped) //nolint:sloglint // likewise
			}
		},
	}
}

// limiter admits errorBurst calls in each errorWindow.
type limiter struct {
	mu      sync.Mutex
	now     func() time.Time
	start   time.Time
	passed  int
	skipped int
}

// allow also gives how many calls it refused since it last admitted one.
func (l *limiter) allow() (ok bool, skipped int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if now := l.now(); now.Sub(l.start) >= errorWindow {
		l.start, l.passed = now, 0
	}
	if l.passed == errorBurst {
		l.skipped++
		return false, 0
	}
	l.passed++
	skipped, l.skipped = l.skipped, 0
	return true, skipped
}
