package datapath

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"sync"

	"github.com/cilium/ebpf"
)

// Config is what the programs are loaded with.
type Config struct {
	// PinPath is a directory on a BPF file system; it is created, mode 0700.
	PinPath string
	// Prefix is this node's tunnel /64.
	Prefix netip.Prefix
	// Prefix6 is this node's IPv6 pod /64; invalid if it has none.
	Prefix6 netip.Prefix
	// OverlayIfIndex is the WireGuard device's index.
	OverlayIfIndex int
	// DetourIfIndex is the second WireGuard device's index, see SetDetours; 0:
	// there is none.
	DetourIfIndex int
	// ForceClsact attaches with clsact even where the kernel has tcx.
	ForceClsact bool
	// overlayL2Len is 14 when programs run under Program.Run.
	overlayL2Len uint32
}

// Datapath is the loaded programs and their maps.
type Datapath struct {
	cfg  Config
	maps string // directory of the pinned maps
	objs bpfObjects

	attaching sync.Mutex // one attachment at a time: two of one interface would both find it bare

	mu        sync.Mutex // guards the mirrors below and the order of writes
	revision  uint32
	settled   bool // both sides of every identity are equal
	policy    policyTables
	endpoints *table[bpfAddr, bpfEndpoint]
	slots     endpointSlots
	podPorts  *table[bpfPodPortKey, bpfPodPortNames]
	ports     map[bpfAddr]podPorts // of endpoints that SetEndpoint has put in force
	readers   grace                // of endpoints, slots and podPorts
	locations *table[bpfPrefixKey, bpfLocation]
	hosts     *table[bpfHostKey, bpfAddr]
	services  *table[bpfServiceKey, bpfService]
	backends  *table[bpfBackendKey, bpfBackend]

	attestation attestation
	detours     *table[uint64, uint8]
	settings    bpfSettings // as the kernel has them
}

// Open loads the programs over the maps that this version or one of the same
// layout pinned, or over new ones where there are none, and reads what the maps hold. It attaches nothing. Errors say
// which kernel feature is missing.
func Open(cfg Config) (*Datapath, error) {
	spec, err := loadBpf()
	if err != nil {
		return nil, fmt.Errorf("read the embedded programs: %w", err)
	}
	if err := setConstants(spec, cfg); err != nil {
		return nil, err
	}
	maps, err := mapsDir(cfg.PinPath, spec)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(maps, 0o700); err != nil {
		return nil, fmt.Errorf("pin path: %w (is a BPF file system mounted there?)", err)
	}
	d := &Datapath{cfg: cfg, maps: maps}
	opts := &ebpf.CollectionOptions{Maps: ebpf.MapOptions{PinPath: maps}}
	if err := spec.LoadAndAssign(&d.objs, opts); err != nil {
		return nil, fmt.Errorf("load the programs: %w", explainLoad(err))
	}
	if err := d.readMaps(); err != nil {
		return nil, errors.Join(err, d.objs.Close())
	}
	return d, nil
}

func setConstants(spec *ebpf.CollectionSpec, cfg Config) error {
	if !is64(cfg.Prefix) {
		return fmt.Errorf("tunnel prefix %s: want an IPv6 /64", cfg.Prefix)
	}
	prefix6 := uint64(0)
	if cfg.Prefix6.IsValid() {
		if !is64(cfg.Prefix6) || cfg.Prefix6 == cfg.Prefix || cfg.Prefix6.Addr().IsUnspecified() {
			return fmt.Errorf("IPv6 pod CIDR %s: want a /64 that is not the tunnel's", cfg.Prefix6)
		}
		prefix6 = prefixWord(cfg.Prefix6)
	}
	for name, value := range map[string]any{
		"own_prefix":      prefixWord(cfg.Prefix),
		"own_prefix6":     prefix6,
		"overlay_ifindex": uint32(cfg.OverlayIfIndex),
		"detour_ifindex":  uint32(cfg.DetourIfIndex),
		"overlay_l2_len":  cfg.overlayL2Len,
	} {
		v, ok := spec.Variables[name]
		if !ok {
			return fmt.Errorf("the embedded programs lack the constant %s", name)
		}
		if err := v.Set(value); err != nil {
			return fmt.Errorf("set %s: %w", name, err)
		}
	}
	return nil
}

// explainLoad adds to an error what to do about it.
func explainLoad(err error) error {
	var verifier *ebpf.VerifierError
	switch {
	case errors.Is(err, ebpf.ErrMapIncompatible):
		return fmt.Errorf("%w (what is pinned under this layout's name is something else: remove it and restart)", err)
	case errors.Is(err, os.ErrPermission):
		return fmt.Errorf("%w (the agent needs CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON)", err)
	case errors.As(err, &verifier):
		return fmt.Errorf("%w (the kernel refused a program; Signet needs Linux 6.1 or later)", err)
	case errors.Is(err, ebpf.ErrNotSupported):
		return fmt.Errorf("%w (Signet needs Linux 6.1 or later)", err)
	}
	return err
}

func (d *Datapath) readMaps() error {
	var state bpfState
	if err := d.objs.PolicyState.Lookup(uint32(0), &state); err != nil {
		return fmt.Errorf("read policy_state: %w", err)
	}
	d.revision = state.Revision
	if err := d.objs.LiveSettings.Lookup(uint32(0), &d.settings); err != nil {
		return fmt.Errorf("read live_settings: %w", err)
	}
	d.endpoints = newTable[bpfAddr, bpfEndpoint](d.objs.Endpoints)
	d.slots = endpointSlots{newTable[uint32, bpfEndpointSlot](d.objs.EndpointSlots)}
	d.ports = map[bpfAddr]podPorts{}
	d.podPorts = newTable[bpfPodPortKey, bpfPodPortNames](d.objs.PodPorts)
	d.locations = newTable[bpfPrefixKey, bpfLocation](d.objs.Locations)
	d.hosts = newTable[bpfHostKey, bpfAddr](d.objs.Hosts)
	d.services = newTable[bpfServiceKey, bpfService](d.objs.Services)
	d.backends = newTable[bpfBackendKey, bpfBackend](d.objs.Backends)
	d.detours = newTable[uint64, uint8](d.objs.Detours)
	if err := d.endpoints.read(); err != nil {
		return err
	}
	return errors.Join(d.slots.restore(d.endpoints.known), d.detours.read(), d.podPorts.read(), d.locations.read(),
		d.hosts.read(), d.services.read(), d.backends.read(), d.policy.open(&d.objs), d.attestation.open(&d.objs))
}

// Close releases the agent's hold; what is pinned stays in force.
func (d *Datapath) Close() error { return d.objs.Close() }

// bump puts the next revision in force, which makes every flow be judged again
// on its next packet, and waits until no program uses the last one. d.mu is
// held.
func (d *Datapath) bump() error {
	next := d.revision + 1
	if next == 0 { // 0 means that no policy is loaded; keep the parity
		next = 2
	}
	state := bpfState{Revision: next}
	if err := d.objs.PolicyState.Put(uint32(0), state); err != nil {
		return fmt.Errorf("switch to revision %d: %w", next, err)
	}
	d.revision = next
	quiesce()
	return nil
}

// Revision is the policy revision in force; 0 means that none is loaded and
// nothing passes.
func (d *Datapath) Revision() uint32 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.revision
}

func is64(p netip.Prefix) bool {
	return p.Addr().Is6() && !p.Addr().Is4In6() && p.Bits() == 64 && p == p.Masked()
}

func prefixWord(p netip.Prefix) uint64 {
	b := p.Addr().As16()
	return binary.NativeEndian.Uint64(b[:8])
}

// fromPrefixWord gives no prefix for 0.
func fromPrefixWord(word uint64) netip.Prefix {
	if word == 0 {
		return netip.Prefix{}
	}
	var addr [16]byte
	binary.NativeEndian.PutUint64(addr[:], word)
	return netip.PrefixFrom(netip.AddrFrom16(addr), 64)
}

func toAddr(a netip.Addr) bpfAddr { return bpfAddr{Bytes: a.As16()} }

// toPort gives a port as it stands on the wire.
func toPort(p uint16) uint16 { return binary.NativeEndian.Uint16([]byte{byte(p >> 8), byte(p)}) }
