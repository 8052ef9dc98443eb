package device

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.zx2c4.com/wireguard/wgctrl"
	"golang.zx2c4.com/wireguard/wgctrl/wgtypes"

	"github.com/signet-cni/signet/overlay"
)

// Desired is all that a device shall be.
type Desired struct {
	PrivateKey wgtypes.Key
	ListenPort uint16     // UDP, not 0
	MTU        int        // bytes
	Address    netip.Addr // the node's IPv4 address, see setAddresses; none with Bare
	Address6   netip.Addr // and its IPv6 address; invalid: the device carries no IPv6 of the host
	Peers      []overlay.Peer
	Routes     []overlay.Route
	// Bare leaves the device without address and routes, for one that only
	// the hooks send to.
	Bare bool
}

// Changes says what Configure wrote. Keys are public keys.
type Changes struct {
	PrivateKey bool
	ListenPort bool
	Added      []wgtypes.Key
	Updated    []wgtypes.Key
	Removed    []wgtypes.Key
	System     []string // link, address, sysctl and route changes, in words
}

// Empty reports that nothing had to be written.
func (c Changes) Empty() bool {
	return !c.PrivateKey && !c.ListenPort && len(c.Added)+len(c.Updated)+len(c.Removed)+len(c.System) == 0
}

// And gives both changes as one.
func (c Changes) And(other Changes) Changes {
	return Changes{
		PrivateKey: c.PrivateKey || other.PrivateKey, ListenPort: c.ListenPort || other.ListenPort,
		Added: slices.Concat(c.Added, other.Added), Updated: slices.Concat(c.Updated, other.Updated),
		Removed: slices.Concat(c.Removed, other.Removed), System: slices.Concat(c.System, other.System),
	}
}

// Touches says whether a peer was updated.
func (c Changes) Touches(key wgtypes.Key) bool { return slices.Contains(c.Updated, key) }

// Configure makes the device match want by writing the differences; Changes
// holds what was written, also if an error ended it half-way. Calling it again
// continues. ErrNoDevice means that the device was removed: call Ensure again.
//
// The order keeps pod traffic closed at every step. The route that refuses
// comes before everything, and the one into the tunnel last, when the device
// already drops what has no peer.
func (d *Device) Configure(want Desired) (Changes, error) {
	var done Changes
	if err := want.check(); err != nil {
		return done, err
	}
	link, err := findLink(d.name)
	if err != nil {
		return done, err
	}
	for _, step := range d.steps(link, want, &done) {
		changed, err := step()
		done.System = append(done.System, changed...)
		if err != nil {
			return done, fmt.Errorf("configure %s: %w", d.name, err)
		}
	}
	return done, nil
}

func (d *Device) steps(link netlink.Link, want Desired, done *Changes) []func() ([]string, error) {
	routed := func(step func() ([]string, error)) func() ([]string, error) {
		if want.Bare {
			return func() ([]string, error) { return nil, nil }
		}
		return step
	}
	return []func() ([]string, error){
		routed(func() ([]string, error) { return addRoutes(link, refusing(want.Routes)) }),
		func() ([]string, error) { return setSysctls(d.name, want.Address6.IsValid()) },
		func() ([]string, error) { return setMTU(link, want.MTU) },
		func() ([]string, error) { return nil, d.configureWireGuard(want, done) },
		routed(func() ([]string, error) { return setAddresses(link, want.Address, want.Address6) }),
		func() ([]string, error) { return setUp(link) },
		routed(func() ([]string, error) { return addRoutes(link, want.Routes) }),
		routed(func() ([]string, error) { return dropRoutes(want.Routes) }),
	}
}

// check refuses what would leave the device half-configured or open.
func (w Desired) check() error {
	switch {
	case w.PrivateKey == wgtypes.Key{}:
		return errors.New("configure: no private key")
	case w.ListenPort == 0:
		return errors.New("configure: no UDP port")
	case !w.Bare && !w.Address.Is4():
		return fmt.Errorf("configure: node address %s is not IPv4", w.Address)
	case w.Address6.IsValid() && (!w.Address6.Is6() || w.Address6.Is4In6()):
		return fmt.Errorf("configure: node address %s is not IPv6", w.Address6)
	}
	keys := map[wgtypes.Key]bool{{}: true, w.PrivateKey.PublicKey(): true}
	allowed := map[netip.Prefix]bool{}
	for _, p := range w.Peers {
		if keys[p.PublicKey] || !p.Endpoint.IsValid() || len(p.AllowedIPs) == 0 {
			return fmt.Errorf("configure: peer %s lacks a key of its own, an endpoint or a prefix", p.Name)
		}
		keys[p.PublicKey] = true
		for _, prefix := range p.AllowedIPs {
			if allowed[prefix] {
				return fmt.Errorf("configure: two peers share %s, one of them is %s", prefix, p.Name)
			}
			allowed[prefix] = true
		}
	}
	return nil
}

// configureWireGuard writes key, port and peers in one request.
func (d *Device) configureWireGuard(want Desired, done *Changes) error {
	have, err := query(d.name)
	if err != nil {
		return err
	}
	cfg, changes := d.difference(have, want)
	if !changes.Empty() {
		client, err := wgctrl.New()
		if err != nil {
			return fmt.Errorf("open WireGuard control: %w", err)
		}
		defer client.Close()
		if err := client.ConfigureDevice(d.name, cfg); err != nil {
			return fmt.Errorf("write WireGuard state: %w", err)
		}
	}
	clear(d.endpoints)
	for _, p := range want.Peers {
		d.endpoints[p.PublicKey] = p.Endpoint.String()
	}
	changes.System = done.System
	*done = changes
	return nil
}
