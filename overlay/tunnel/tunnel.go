package tunnel

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
	"time"

	"github.com/signet-cni/signet/overlay"
	"github.com/signet-cni/signet/overlay/device"
)

// Config is what a Tunnel is made of.
type Config struct {
	Keys          *Keys
	First, Second *device.Device
	Port          uint16 // UDP, of the first device; the second has the next
	Steering      Steering
	// Changed is called when the node has to publish itself anew. It must not
	// block.
	Changed func()
	Log     *slog.Logger
	Now     func() time.Time
}

// Wanted is what a plan asks of the tunnel.
type Wanted struct {
	MTU      int        // bytes, of the devices
	Address  netip.Addr // the node's IPv4 address
	Address6 netip.Addr // and its IPv6 address; invalid without IPv6 pods
	Peers    []overlay.Peer
	Routes   []overlay.Route
}

// Tunnel is a node's two devices. It is safe for concurrent use.
type Tunnel struct {
	keys     *Keys
	port     uint16
	steering Steering
	changed  func()
	log      *slog.Logger
	now      func() time.Time

	mu            sync.Mutex
	first, second *leg
	want          Wanted
	peers         []overlay.Peer
	detoured      map[string]bool      // by node; nil before the first plan
	asked         map[string]time.Time // by node: when the detour was last wanted
	rotation      rotation
}

// Open finds or makes both devices, see device.Ensure, and reserves their ports.
func Open(ctx context.Context, mtu int, port uint16) (first, second *device.Device, err error) {
	if err := device.ReservePorts(port, port+1); err != nil {
		return nil, nil, err
	}
	first, err = device.Ensure(ctx, overlay.DefaultDevice, mtu)
	if err != nil {
		return nil, nil, err
	}
	second, err = device.Ensure(ctx, overlay.DetourDevice, mtu)
	return first, second, err
}

// New takes the devices over. It writes nothing to them.
func New(c Config) *Tunnel {
	t := &Tunnel{
		keys: c.Keys, port: c.Port, steering: c.Steering, changed: c.Changed, log: c.Log, now: c.Now,
		asked: map[string]time.Time{},
	}
	first, second := c.Keys.made()
	t.first, t.second = newLeg(c.First, first), newLeg(c.Second, second)
	if c.Keys.halfway() {
		t.rotation.begin(c.Now())
		t.rotation.rekeyed = true
		t.log.Info("an earlier agent ended while it changed keys; going on")
	}
	return t
}

// PrefersDetour says that this node asks its peers for the detour.
func (t *Tunnel) PrefersDetour() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.rotation.active()
}

// Apply puts a plan in force on both devices and shakes hands with new peers.
// Changes are those of both. device.ErrNoDevice means that one was removed: see
// Restore.
func (t *Tunnel) Apply(want Wanted) (device.Changes, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	moved := t.want.Address != want.Address
	t.want, t.peers = want, want.Peers
	if t.detoured == nil {
		t.detoured = inherit(t.peers, t.steering.Detours())
	}
	changes, err := t.configure()
	if err != nil {
		return changes, err
	}
	if moved {
		err = t.first.device.Greet(t.peers)
	}
	return changes, errors.Join(err, t.look())
}

// Look takes in what has happened on the devices: it moves pairs, keeps
// sessions alive, looks for lost peers, and goes on with a change of keys. Call
// it every second. Before the first plan it does nothing: pairs stay where an
// earlier agent has left them.
func (t *Tunnel) Look() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.detoured == nil {
		return nil
	}
	return t.look()
}

// Moved lets the peers know where this node is now: WireGuard sends to where it
// last heard from a peer.
func (t *Tunnel) Moved() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return errors.Join(t.first.device.Greet(t.peers), t.second.device.Greet(t.onSecond()))
}

// onSecond are the peers that are reached by the detour, as that knows them.
func (t *Tunnel) onSecond() []overlay.Peer {
	var peers []overlay.Peer
	for _, p := range t.peers {
		if detoured, ok := p.OnDetour(); ok && t.detoured[p.Name] {
			peers = append(peers, detoured)
		}
	}
	return peers
}

// configure brings both devices in line. The second is configured although the
// first could not be: it may be what has the first's port, as a device that was
// not configured has any. t.mu is held.
func (t *Tunnel) configure() (device.Changes, error) {
	first, err := t.configureFirst()
	second, secondErr := t.configureSecond()
	if err != nil {
		var again device.Changes
		again, err = t.configureFirst()
		first = first.And(again)
	}
	return first.And(second), errors.Join(err, secondErr)
}

func (t *Tunnel) configureFirst() (device.Changes, error) {
	key, _ := t.keys.private()
	return t.first.configure(device.Desired{
		PrivateKey: key, ListenPort: t.port, MTU: t.want.MTU,
		Address: t.want.Address, Address6: t.want.Address6, Peers: t.peers, Routes: t.want.Routes,
	}, t.now)
}

func (t *Tunnel) configureSecond() (device.Changes, error) {
	_, key := t.keys.private()
	return t.second.configure(device.Desired{
		PrivateKey: key, ListenPort: t.port + 1, MTU: t.want.MTU, Address6: t.want.Address6, Peers: t.secondPeers(), Bare: true,
	}, t.now)
}

// configure also notes when the device's key changed, and forgets what it knew
// of peers that the device had not: a device made anew, or served by another
// process, has no session with them, however lately they were greeted.
func (l *leg) configure(want device.Desired, now func() time.Time) (device.Changes, error) {
	changes, err := l.device.Configure(want)
	if changes.PrivateKey {
		l.keyed = now()
	}
	for _, key := range changes.Added {
		delete(l.sessions, key)
	}
	if err != nil || len(changes.Updated) == 0 {
		return changes, err
	}
	var updated []overlay.Peer
	for _, p := range want.Peers {
		if changes.Touches(p.PublicKey) {
			updated = append(updated, p)
		}
	}
	return changes, l.device.Greet(updated)
}

// secondPeers are the peers as the detour knows them.
func (t *Tunnel) secondPeers() []overlay.Peer {
	var peers []overlay.Peer
	for _, p := range t.peers {
		if detoured, ok := p.OnDetour(); ok {
			peers = append(peers, detoured)
		}
	}
	return peers
}

// look is Look; t.mu is held.
func (t *Tunnel) look() error {
	now := t.now()
	if err := errors.Join(t.first.look(now), t.second.look(now)); err != nil {
		return err
	}
	if err := t.steer(now); err != nil {
		return err
	}
	if err := t.keepAlive(now); err != nil {
		return err
	}
	return t.advance(now)
}

// restless is how long after the detour was last wanted a pair still shows
// where it is.
const restless = time.Minute

// keepAlive warms the first device's sessions, and those of the second that are
// wanted; pairs that may move show by which device they send.
func (t *Tunnel) keepAlive(now time.Time) error {
	var wanted, onFirst, onSecond []overlay.Peer
	for _, p := range t.peers {
		detoured, can := p.OnDetour()
		if t.wanted(p) {
			t.asked[p.Name] = now
		}
		if can && t.wanted(p) {
			wanted = append(wanted, detoured)
		}
		if t.rotation.phase == idle && now.Sub(t.asked[p.Name]) > restless {
			continue
		}
		if t.detoured[p.Name] {
			onSecond = append(onSecond, detoured)
		} else if t.first.up(p.PublicKey, now) {
			onFirst = append(onFirst, p)
		}
	}
	return errors.Join(
		t.first.warm(t.peers, now), t.second.warm(wanted, now),
		t.first.pulse(onFirst, now), t.second.pulse(onSecond, now),
	)
}

// Restore makes a device anew that was removed, under the index that it had.
func (t *Tunnel) Restore(ctx context.Context) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, l := range []*leg{t.first, t.second} {
		if err := l.device.Restore(ctx, t.want.MTU); err != nil {
			return fmt.Errorf("make %s anew: %w", l.device.Name(), err)
		}
	}
	return nil
}

// Status reads both devices.
func (t *Tunnel) Status() (first, second device.Status, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if first, err = t.first.device.Status(); err != nil {
		return first, second, err
	}
	second, err = t.second.device.Status()
	return first, second, err
}

// Detoured says which nodes are reached by the detour right now.
func (t *Tunnel) Detoured(node string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.detoured[node]
}
