package cli

import (
	"testing"
	"time"
)

func TestByteText(t *testing.T) {
	for bytes, want := range map[uint64]string{
		0: "0 B", 999: "999 B", 1000: "1.0 KiB", 1024: "1.0 KiB", 10240: "10 KiB", 1023 * 1024: "1.0 MiB",
		5 << 30: "5.0 GiB", 1 << 63: "8.0 EiB",
	} {
		if got := byteText(bytes); got != want {
			t.Errorf("%d: %q, want %q", bytes, got, want)
		}
	}
}

func TestAgeText(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for age, want := range map[time.Duration]string{
		-time.Second: "now", time.Second: "now", 90 * time.Second: "90s ago", 3 * time.Minute: "3m ago",
		5 * time.Hour: "5h ago", 72 * time.Hour: "3d ago",
	} {
		if got := ageText(now.Add(-age), now); got != want {
			t.Errorf("%v: %q, want %q", age, got, want)
		}
	}
	if got := ageText(time.Time{}, now); got != "never" {
		t.Errorf("zero: %q", got)
	}
}
