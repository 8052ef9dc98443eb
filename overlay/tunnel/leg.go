package tunnel

import (
	"fmt"
	"time"

	"golang.zx2c4.com/wireguard/wgctrl/wgtypes"

	"github.com/signet-cni/signet/overlay"
	"github.com/signet-cni/signet/overlay/device"
)

const (
	// SessionLifetime is how long a session can carry data (REJECT_AFTER_TIME
	// of WireGuard).
	SessionLifetime = 180 * time.Second
	// warmth is the age at which a session is renewed although nobody sends
	// (after REKEY_AFTER_TIME, 120 s).
	warmth = 130 * time.Second
	// greetInterval is the least time between two greetings of a warm peer.
	greetInterval = 10 * time.Second
	// renewInterval is the same for a peer without a session.
	renewInterval = 3 * time.Second
	// silence is the longest gap in what is heard from a peer that greets every
	// second. WireGuard's own keepalives are at least 10 s apart.
	silence = 3500 * time.Millisecond
	// presence is how long a peer is heard before it counts as being here.
	presence = 4 * time.Second
)

// leg is one device, and what is known of its sessions.
type leg struct {
	device   *device.Device
	keyed    time.Time // sessions from before do not count: the key was another
	sessions map[wgtypes.Key]*session
}

// session is what was seen of one peer on one device.
type session struct {
	handshake time.Time
	received  int64
	heard     time.Time // when received last grew
	since     time.Time // since when it has been growing without a silence
	greeted   time.Time
	renewed   bool // the last greeting was not the first without a session
}

// newLeg takes a device over, whose key may be younger than sessions that an
// earlier agent has left.
func newLeg(d *device.Device, keyed time.Time) *leg {
	return &leg{device: d, keyed: keyed, sessions: map[wgtypes.Key]*session{}}
}

// look takes in the device's state.
func (l *leg) look(now time.Time) error {
	l.mindClock(now)
	state, err := l.device.Status()
	if err != nil {
		return err
	}
	seen := map[wgtypes.Key]*session{}
	for _, p := range state.Peers {
		s := l.sessions[p.PublicKey]
		if s == nil {
			s = &session{received: p.Received}
		}
		s.take(p, now)
		seen[p.PublicKey] = s
	}
	l.sessions = seen
	return nil
}

// mindClock makes up for a clock that was set back since the device got its key:
// until it had caught up no session would seem younger than that.
func (l *leg) mindClock(now time.Time) {
	if now = now.Round(0); l.keyed.After(now) { // by the clock that is set, as that of handshakes is
		l.keyed = now
	}
}

func (s *session) take(p device.PeerStatus, now time.Time) {
	s.handshake = p.LastHandshake
	if p.Received > s.received {
		if now.Sub(s.heard) > silence {
			s.since = now
		}
		s.heard = now
	}
	s.received = p.Received
}

// up reports a session that can carry data.
func (l *leg) up(key wgtypes.Key, now time.Time) bool {
	s := l.sessions[key]
	return s != nil && s.handshake.After(l.keyed) && now.Sub(s.handshake) < SessionLifetime
}

// present reports a peer that sends by this device, from a time on.
func (l *leg) present(key wgtypes.Key, from, now time.Time) bool {
	s := l.sessions[key]
	if s == nil || now.Sub(s.heard) > silence || s.since.IsZero() {
		return false
	}
	since := s.since
	if since.Before(from) {
		since = from
	}
	return now.Sub(since) >= presence
}

// pulse greets peers whatever the state of their sessions.
func (l *leg) pulse(peers []overlay.Peer, now time.Time) error {
	for _, p := range peers {
		if s := l.sessions[p.PublicKey]; s != nil {
			s.greeted = now
		}
	}
	return l.device.Greet(peers)
}

// warm keeps sessions with these peers alive and looks for lost ones.
func (l *leg) warm(peers []overlay.Peer, now time.Time) error {
	var greet, renew []overlay.Peer
	for _, p := range peers {
		s := l.sessions[p.PublicKey]
		switch {
		case s == nil:
		case !l.up(p.PublicKey, now):
			if now.Sub(s.greeted) < renewInterval {
				continue
			}
			if s.renewed {
				renew = append(renew, p)
			} else {
				greet = append(greet, p)
			}
			s.greeted, s.renewed = now, true
		default:
			s.renewed = false
			if now.Sub(s.handshake) > warmth && now.Sub(s.greeted) > greetInterval {
				greet = append(greet, p)
				s.greeted = now
			}
		}
	}
	if err := l.device.Greet(greet); err != nil {
		return err
	}
	if err := l.device.Renew(renew); err != nil {
		return fmt.Errorf("look for lost peers: %w", err)
	}
	return nil
}
