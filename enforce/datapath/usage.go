package datapath

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
)

// Usage is how full one of the kernel's tables is.
type Usage struct {
	Name         string
	Entries, Max int
}

// Usage tells of every table that can fill up, but of the flow table: counting
// that takes long (see CollectFlows).
func (d *Datapath) Usage() ([]Usage, error) {
	list := d.mirrored()
	var errs []error
	for _, m := range []struct {
		name  string
		of    *ebpf.Map
		count func(*ebpf.Map) (int, error)
	}{
		{"fragments", d.objs.Fragments, count[bpfFragmentKey, bpfFragmentPorts]},
		{"affinities", d.objs.Affinities, count[bpfAffinityKey, bpfAffinity]},
		{"tunnel_sources", d.objs.TunnelSources, count[bpfAddr, bpfTunnelSource]},
	} {
		entries, err := m.count(m.of)
		if err != nil {
			errs = append(errs, fmt.Errorf("count the entries of %s: %w", m.name, err))
			continue
		}
		list = append(list, Usage{m.name, entries, int(m.of.MaxEntries())})
	}
	return list, errors.Join(errs...)
}

// mirrored tells of the tables that the agent alone writes.
func (d *Datapath) mirrored() []Usage {
	d.mu.Lock()
	defer d.mu.Unlock()
	return []Usage{
		d.endpoints.usage("endpoints"), d.podPorts.usage("pod_ports"), d.locations.usage("locations"),
		d.hosts.usage("hosts"), d.services.usage("services"), d.backends.usage("backends"),
		d.policy.identities.usage("identities"), d.policy.rules.usage("rules"), d.policy.cidrs.usage("rule_cidrs"),
		d.policy.chunks.usage("port_chunks"), d.policy.names.usage("port_names"), d.attestation.usage("attested"),
	}
}

func (t *table[K, V]) usage(name string) Usage {
	return Usage{name, len(t.known), int(t.m.MaxEntries())}
}

// batch is how many entries one system call reads.
const batch = 1024

// count counts the entries of a table that the kernel's programs write.
func count[K, V any](m *ebpf.Map) (int, error) {
	total := 0
	err := eachBatch(m, func(keys []K, _ []V) error {
		total += len(keys)
		return nil
	})
	return total, err
}

// eachBatch reads a whole table. Entries that come or go meanwhile may be
// missed or given twice.
func eachBatch[K, V any](m *ebpf.Map, each func([]K, []V) error) error {
	var cursor ebpf.MapBatchCursor
	keys, values := make([]K, batch), make([]V, batch)
	for {
		n, err := m.BatchLookup(&cursor, keys, values, nil)
		if err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
			return err
		}
		if n > 0 {
			if err := each(keys[:n], values[:n]); err != nil {
				return err
			}
		}
		if err != nil {
			return nil // that was the last batch
		}
	}
}
