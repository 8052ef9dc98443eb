package tunnel

import (
	"testing"
	"time"

	"golang.zx2c4.com/wireguard/wgctrl/wgtypes"
)

// A session counts if it is from after the device got its key, and young.
func TestUp(t *testing.T) {
	keyed := time.Now()
	key := wgtypes.Key{1}
	l := newLeg(nil, keyed)
	for _, c := range []struct {
		handshake, now time.Duration // after keyed
		up             bool
	}{
		{-time.Second, time.Second, false},
		{time.Second, 2 * time.Second, true},
		{time.Second, time.Second + SessionLifetime, false},
	} {
		l.sessions[key] = &session{handshake: keyed.Add(c.handshake)}
		if got := l.up(key, keyed.Add(c.now)); got != c.up {
			t.Errorf("handshake after %s, after %s it is up: %v", c.handshake, c.now, got)
		}
	}
	if l.up(wgtypes.Key{2}, keyed) {
		t.Error("a peer that nothing is known of is up")
	}
}

// With a clock that was set back by an hour a session made now counts.
func TestClockSetBack(t *testing.T) {
	now := time.Now()
	key := wgtypes.Key{1}
	l := newLeg(nil, now.Round(0).Add(time.Hour))
	l.sessions[key] = &session{handshake: now.Round(0).Add(time.Second)}
	l.mindClock(now)
	if !l.up(key, now.Add(2*time.Second)) {
		t.Error("a session made after the clock was set is not up")
	}
	l.sessions[key].handshake = now.Round(0).Add(-time.Second)
	l.mindClock(now.Add(time.Second))
	if l.up(key, now.Add(2*time.Second)) {
		t.Error("a session made before it is up")
	}
}
