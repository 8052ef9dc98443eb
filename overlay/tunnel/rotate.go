package tunnel

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/signet-cni/signet/overlay"
	"github.com/signet-cni/signet/overlay/keys"
)

// patience is how long a change of keys waits for peers that do not follow. A
// node that was switched off counts as gone before that, see SessionLifetime.
const patience = 210 * time.Second

// ErrRotating is returned if keys are being changed already.
var ErrRotating = errors.New("this node is changing its keys already")

// phase is how far a change of keys is.
type phase uint8

const (
	idle      phase = iota
	leaving         // pairs are to move to the detour
	returning       // the first device has its new key, pairs are to move back
)

// rotation is a change of keys.
type rotation struct {
	phase   phase
	begun   time.Time
	entered time.Time       // the phase
	rekeyed bool            // the first device's key is new already
	arrived map[string]bool // nodes that were seen where the phase wants them
	waiting []string        // the others
	overdue bool
	err     error     // of the last one that ended
	ended   time.Time // when
}

// Rotation tells of a change of keys.
type Rotation struct {
	Running bool
	Step    string    // what it does now, in words; "" if none was run
	Waiting []string  // nodes that it waits for
	Begun   time.Time // zero: none since the agent started
	Ended   time.Time // zero while it runs
	Err     error     // why it failed, nil if it did not
	Overdue bool      // it waits longer than it should have to
}

func (r *rotation) active() bool { return r.phase == leaving }

func (r *rotation) begin(now time.Time) {
	*r = rotation{begun: now}
	r.enter(leaving, now)
}

func (r *rotation) enter(next phase, now time.Time) {
	r.phase, r.entered, r.arrived, r.waiting, r.overdue = next, now, map[string]bool{}, nil, false
}

func (r *rotation) end(now time.Time, err error) {
	r.enter(idle, now)
	r.ended, r.err = now, err
}

// Rotate begins to change this node's keys; Look goes on with it.
func (t *Tunnel) Rotate() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.rotation.phase != idle {
		return ErrRotating
	}
	t.rotation.begin(t.now())
	t.log.Info("changing keys: asking the peers to take the detour")
	t.changed()
	return nil
}

// Rotation tells how the current or last change of keys fares.
func (t *Tunnel) Rotation() Rotation {
	t.mu.Lock()
	defer t.mu.Unlock()
	r := &t.rotation
	return Rotation{
		Running: r.phase != idle, Step: r.step(), Waiting: r.waiting,
		Begun: r.begun, Ended: r.ended, Err: r.err, Overdue: r.overdue,
	}
}

func (r *rotation) step() string {
	switch {
	case r.phase == leaving:
		return "moving traffic to " + overlay.DetourDevice
	case r.phase == returning:
		return "new key in force, moving traffic back to " + overlay.DefaultDevice
	case r.begun.IsZero():
		return ""
	case r.err != nil:
		return "given up"
	}
	return "done"
}

// advance goes on with a change of keys. t.mu is held.
func (t *Tunnel) advance(now time.Time) error {
	r := &t.rotation
	if r.phase == idle {
		return nil
	}
	r.waiting = t.missing(now)
	waited := now.Sub(r.entered)
	switch {
	case len(r.waiting) == 0 && waited > presence:
		return t.nextPhase(now)
	case waited <= patience:
		return nil
	case r.phase == leaving:
		err := fmt.Errorf("the old key stays in force: these nodes do not take the detour: %s (is UDP port %d open "+
			"to them, and does their agent run?)", strings.Join(r.waiting, ", "), t.port+1)
		t.log.Warn("keys not changed", "error", err)
		r.end(now, err)
		t.changed()
	case !r.overdue:
		r.overdue = true
		t.log.Warn("the new key is in force, but nodes still take the detour; its key stays until they return", "nodes", r.waiting)
	}
	return nil
}

// missing names the nodes that are reachable, and not yet where the phase wants
// them.
func (t *Tunnel) missing(now time.Time) []string {
	r := &t.rotation
	var waiting []string
	for _, p := range t.peers {
		detoured, can := p.OnDetour()
		firstUp, secondUp := t.first.up(p.PublicKey, now), can && t.second.up(detoured.PublicKey, now)
		if !firstUp && !secondUp {
			continue // nobody is there to follow
		}
		here, l, key := t.detoured[p.Name], t.second, detoured.PublicKey
		if r.phase == returning {
			here, l, key = !here, t.first, p.PublicKey
		}
		if here && l.present(key, r.entered, now) {
			r.arrived[p.Name] = true
		}
		if !here || !r.arrived[p.Name] {
			waiting = append(waiting, p.Name)
		}
	}
	return waiting
}

// nextPhase is taken when everybody is where the phase wants them.
func (t *Tunnel) nextPhase(now time.Time) error {
	r := &t.rotation
	if r.phase == leaving {
		return t.rekey(now)
	}
	if err := t.replaced(t.keys.replaceSecond()); err != nil {
		return fmt.Errorf("change the detour's key: %w", err)
	}
	_, err := t.configure()
	t.log.Info("keys changed", "took", now.Sub(r.begun).Round(time.Millisecond))
	r.end(now, err)
	t.changed()
	return err
}

// rekey gives the first device, which nobody uses, its new key.
func (t *Tunnel) rekey(now time.Time) error {
	r := &t.rotation
	if !r.rekeyed {
		if err := t.replaced(t.keys.replaceFirst()); err != nil {
			return fmt.Errorf("change the key: %w", err)
		}
		r.rekeyed = true
	}
	first, _, _ := t.keys.Public()
	_, err := t.configure()
	t.log.Info("changing keys: the new key is in force", "public", first.String())
	r.enter(returning, now)
	t.changed()
	return err
}

// replaced passes over an old key that could not be wiped: the new one counts.
func (t *Tunnel) replaced(err error) error {
	if errors.Is(err, keys.ErrNotWiped) {
		t.log.Warn("key changed", "error", err)
		return nil
	}
	return err
}
