package userspace

import (
	"testing"
	"time"
)

func TestLimiter(t *testing.T) {
	now := time.Unix(1000, 0)
	l := &limiter{now: func() time.Time { return now }}
	for i := range errorBurst {
		if ok, _ := l.allow(); !ok {
			t.Fatalf("message %d is refused", i)
		}
	}
	for range 7 {
		if ok, _ := l.allow(); ok {
			t.Fatal("a message too many")
		}
	}
	now = now.Add(errorWindow)
	if ok, skipped := l.allow(); !ok || skipped != 7 {
		t.Errorf("after the window: %v, %d skipped", ok, skipped)
	}
	if ok, skipped := l.allow(); !ok || skipped != 0 {
		t.Errorf("next: %v, %d skipped", ok, skipped)
	}
}
