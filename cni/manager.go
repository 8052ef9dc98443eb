package cni

import (
	"context"
	"log/slog"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/signet-cni/signet/cni/internal/pair"
	"github.com/signet-cni/signet/cni/internal/wire"
)

const (
	// connectTime bounds Network.Connect and Network.Check.
	connectTime = 30 * time.Second
	// disconnectTime bounds Network.Silence and Disconnect each, also for a caller that left.
	disconnectTime = 10 * time.Second
	// reservationTime is how long an address waits for its interface. An ADD
	// takes less; after it the plugin must have died.
	reservationTime = 2 * time.Minute
)

// Config of a Manager. All fields but Netkit and Observe are required.
type Config struct {
	// Dir holds endpoints and addresses, usually /run/signet: it must survive
	// restarts of the agent, and must not survive a boot of the node.
	Dir     string
	Network Network
	// Node returns what is known of the node now. It is called for every ADD.
	Node func() Node
	// Changed is called after what Endpoints returns has changed. It must
	// not block, nor call the Manager.
	Changed func()
	// Netkit gives new pods netkit devices, which the kernel must have: see
	// ProbeNetkit. Limited pods get veth devices nevertheless: what limits them
	// wants all that they send to pass the host's end.
	Netkit bool
	// Observe, if not nil, is told how long a request of the plugin took and
	// whether it failed: "allocate", "attach", "check", "remove", "gc" or
	// "status". It must not block.
	Observe func(operation string, took time.Duration, failed bool)
	Log     *slog.Logger
}

// Manager owns the endpoints of this node. Its methods are safe for concurrent
// use; operations on different interfaces do not wait for each other.
type Manager struct {
	cfg   Config
	ipam  ipam
	store store
	locks keyLock
	now   func() time.Time

	mu      sync.Mutex // held for looking up and storing only
	entries map[wire.Key]entry
}

// entry is what the Manager knows of one interface. It is a value: changing
// one means storing another, with the interface's lock held.
type entry struct {
	ep    Endpoint
	phase phase
	since time.Time // of the reservation
}

type phase int

const (
	reserved  phase = iota // an address, nothing else
	attaching              // Connect has been called
	attached               // Connect succeeded
	leaving                // Silence or Disconnect has been called
)

// ProbeNetkit makes a netkit pair, and removes it again. It wraps EOPNOTSUPP if
// the kernel has no netkit (Linux 6.7).
func ProbeNetkit() error { return pair.ProbeNetkit() }

// New returns a Manager with the endpoints that an earlier one left in
// cfg.Dir, less those whose interface is gone: their addresses are free again.
// It calls Network.Disconnect for the latter, and does not call Connect for
// the former: reconciling them is up to the caller.
func New(ctx context.Context, cfg Config) (*Manager, error) {
	m := &Manager{
		cfg:     cfg,
		ipam:    ipam{dir: filepath.Join(cfg.Dir, "ipam")},
		store:   store{dir: filepath.Join(cfg.Dir, "endpoints")},
		now:     time.Now,
		entries: map[wire.Key]entry{},
	}
	if err := m.restore(); err != nil {
		return nil, err
	}
	if err := m.Prune(ctx); err != nil {
		cfg.Log.Warn("cannot remove stale endpoints yet", "err", err)
	}
	return m, nil
}

// Endpoints returns the attached endpoints and those that are being attached,
// ordered by host interface.
func (m *Manager) Endpoints() []Endpoint {
	var list []Endpoint
	for _, e := range m.snapshot() {
		if e.phase == attaching || e.phase == attached {
			list = append(list, e.ep)
		}
	}
	slices.SortFunc(list, func(a, b Endpoint) int { return strings.Compare(a.HostIfName, b.HostIfName) })
	return list
}

// snapshot returns all entries in no order.
func (m *Manager) snapshot() []entry {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Collect(maps.Values(m.entries))
}

func (m *Manager) get(key wire.Key) (entry, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	e, ok := m.entries[key]
	return e, ok
}

func (m *Manager) set(e entry) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.entries[keyOf(e.ep)] = e
}

func (m *Manager) forget(key wire.Key) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.entries, key)
}
