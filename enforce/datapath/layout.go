package datapath

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
)

// mapsPrefix begins the name of every directory of pinned maps.
const mapsPrefix = "maps-"

// mapsDir is where maps of this version's layout are pinned. A version with
// another layout has a directory of its own: it fills new maps while the old
// programs judge by the old ones, and only then replaces the programs.
func mapsDir(pinPath string, spec *ebpf.CollectionSpec) (string, error) {
	layout, err := layoutOf(spec)
	if err != nil {
		return "", err
	}
	return filepath.Join(pinPath, mapsPrefix+layout), nil
}

// layoutOf sums up what the pinned maps hold, down to the names of fields.
func layoutOf(spec *ebpf.CollectionSpec) (string, error) {
	names := make([]string, 0, len(spec.Maps))
	for name, m := range spec.Maps {
		if m.Pinning == ebpf.PinByName {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	var format btf.GoFormatter
	h := sha256.New()
	for _, name := range names {
		m := spec.Maps[name]
		fmt.Fprintf(h, "%s %s %d %d %d %d\n", name, m.Type, m.KeySize, m.ValueSize, m.MaxEntries, m.Flags)
		for _, t := range []btf.Type{m.Key, m.Value} {
			if t == nil {
				continue
			}
			text, err := format.TypeDeclaration("t", t)
			if err != nil {
				return "", fmt.Errorf("layout of map %s: %w", name, err)
			}
			fmt.Fprintln(h, text)
		}
	}
	return hex.EncodeToString(h.Sum(nil)[:4]), nil
}

// DropOtherLayouts removes the maps that another version pinned. Call it once
// this version's programs are attached everywhere.
func (d *Datapath) DropOtherLayouts() error {
	entries, err := os.ReadDir(d.cfg.PinPath)
	if err != nil {
		return fmt.Errorf("list pinned maps: %w", err)
	}
	var errs []error
	for _, e := range entries {
		dir := filepath.Join(d.cfg.PinPath, e.Name())
		if strings.HasPrefix(e.Name(), "maps") && dir != d.maps {
			errs = append(errs, os.RemoveAll(dir))
		}
	}
	return errors.Join(errs...)
}
