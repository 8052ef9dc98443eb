package cni

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"

	"github.com/signet-cni/signet/cni/internal/wire"
)

// stateVersion is the layout of an endpoint's file. A file with additional
// fields, from a newer agent, is still read.
const stateVersion = 1

type stateFile struct {
	Version  int      `json:"version"`
	Endpoint Endpoint `json:"endpoint"`
}

// store keeps one file an endpoint in dir, named by its host interface.
type store struct {
	dir string
}

var stateName = regexp.MustCompile(`^(` + wire.HostIfPrefix + `[0-9a-f]{12})\.json$`)

// badState is a file that holds no valid endpoint of its name.
type badState struct {
	path       string
	hostIfName string
	err        error
}

func (s store) path(hostIfName string) string {
	return filepath.Join(s.dir, hostIfName+".json")
}

func (s store) save(ep Endpoint) error {
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return fmt.Errorf("save endpoint: %w", err)
	}
	data, err := json.Marshal(stateFile{stateVersion, ep})
	if err != nil {
		return fmt.Errorf("save endpoint: %w", err)
	}
	return writeFile(s.path(ep.HostIfName), data)
}

func (s store) remove(hostIfName string) error {
	return removeFile(s.path(hostIfName))
}

// load returns all endpoints, and the files of endpoints that are not valid.
// Files with other names, such as a temporary one that a crash left, are
// removed.
func (s store) load() ([]Endpoint, []badState, error) {
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return nil, nil, fmt.Errorf("load endpoints: %w", err)
	}
	files, err := os.ReadDir(s.dir)
	if err != nil {
		return nil, nil, fmt.Errorf("load endpoints: %w", err)
	}
	var endpoints []Endpoint
	var bad []badState
	for _, f := range files {
		path := filepath.Join(s.dir, f.Name())
		name := stateName.FindStringSubmatch(f.Name())
		if name == nil {
			if err := os.RemoveAll(path); err != nil {
				return nil, nil, fmt.Errorf("load endpoints: %w", err)
			}
			continue
		}
		ep, err := readEndpoint(path, name[1])
		if err != nil {
			bad = append(bad, badState{path, name[1], err})
			continue
		}
		endpoints = append(endpoints, ep)
	}
	return endpoints, bad, nil
}

func readEndpoint(path, hostIfName string) (Endpoint, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return Endpoint{}, err
	}
	var f stateFile
	if err := json.Unmarshal(data, &f); err != nil {
		return Endpoint{}, err
	}
	if f.Version != stateVersion {
		return Endpoint{}, fmt.Errorf("version %d is not %d", f.Version, stateVersion)
	}
	if f.Endpoint.HostIfName != hostIfName {
		return Endpoint{}, fmt.Errorf("it is about the host interface %.20q", f.Endpoint.HostIfName)
	}
	return f.Endpoint, validateEndpoint(f.Endpoint)
}

// validateEndpoint checks everything that can be checked without the kernel.
func validateEndpoint(ep Endpoint) error {
	key := keyOf(ep)
	if err := key.Validate(); err != nil {
		return err
	}
	if err := wire.ValidatePod(ep.Namespace, ep.Pod, ep.PodUID); err != nil {
		return err
	}
	if ep.HostIfName != key.HostIfName() {
		return errors.New("host interface does not belong to the container")
	}
	if !usable(ep.Addr) || ep.Addr6.IsValid() && !usable6(ep.Addr6) {
		return fmt.Errorf("invalid addresses %v", ep.Addrs())
	}
	return validateLink(ep.HostIfIndex, ep.HostMAC, ep.PodMAC)
}

func validateLink(index int, macs ...[]byte) error {
	if index <= 0 {
		return fmt.Errorf("invalid interface index %d", index)
	}
	for _, mac := range macs {
		if len(mac) != 6 || mac[0]&1 != 0 {
			return fmt.Errorf("%x is no unicast Ethernet address", mac)
		}
	}
	return nil
}

// usable says whether a is an IPv4 address that a pod or node can have.
func usable(a netip.Addr) bool {
	return a.Is4() && a.IsGlobalUnicast()
}

// usable6 is usable of IPv6.
func usable6(a netip.Addr) bool {
	return a.Is6() && !a.Is4In6() && a.Zone() == "" && a.IsGlobalUnicast()
}

func keyOf(ep Endpoint) wire.Key {
	return wire.Key{ContainerID: ep.ContainerID, IfName: ep.IfName}
}
