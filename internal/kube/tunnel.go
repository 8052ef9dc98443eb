package kube

import (
	"errors"
	"fmt"
	"math"
	"net/netip"
	"reflect"
	"slices"
	"time"

	"golang.zx2c4.com/wireguard/wgctrl/wgtypes"

	"github.com/signet-cni/signet/identity"
	"github.com/signet-cni/signet/internal/kube/api"
	"github.com/signet-cni/signet/overlay"
)

// maxAddresses bounds what one node can claim as its own addresses.
const maxAddresses = 16 + overlay.MaxHostNumber

// maxIdentities bounds how many its pods can have, as the schema does.
const maxIdentities = 4096

// PrefixFunc derives a node's prefix inside the tunnel from its pod ranges.
type PrefixFunc func(overlay.Node) (netip.Prefix, error)

// tunnel is a Tunnel object, parsed. Its prefix is the derived one.
type tunnel struct {
	node   overlay.Node
	owner  string // UID of the Node object that owns it, or ""
	prefix netip.Prefix
	attestation
}

// attestation is what a Tunnel says of the identities of its node's pods.
type attestation struct {
	identities []identity.ID // as the node says; sorted
	listed     bool          // the node does say, if only that there are none
	verified   []identity.ID // as the verifier has found; sorted
}

// attestationOf keeps both lists once where they are equal, as they are for most
// nodes at most times.
func attestationOf(object *api.ReceivedTunnel) attestation {
	a := attestation{
		identities: podIdentities(object.Spec.Identities), listed: object.Spec.Identities != nil,
		verified: podIdentities(object.Status.Identities),
	}
	if slices.Equal(a.identities, a.verified) {
		a.verified = a.identities
	}
	return a
}

// changes tells which loops an update concerns: most of them only say that
// pods with other labels run there.
func (t tunnel) changes(before tunnel) []Kind {
	node := t.owner == before.owner && t.prefix == before.prefix && reflect.DeepEqual(t.node, before.node)
	if node {
		return []Kind{Attestations}
	}
	return []Kind{Tunnels, Attestations}
}

// tunnelParser refuses a Tunnel as a whole if anything in it is wrong: with
// half of it, a node would be half reachable, which is harder to see.
func tunnelParser(derive PrefixFunc) func(*api.ReceivedTunnel) (tunnel, []Problem) {
	return func(in *api.ReceivedTunnel) (tunnel, []Problem) {
		var node overlay.Node
		err := readable(in)
		if err == nil {
			node, err = parseTunnelSpec(in.Name, &in.Spec)
		}
		if err == nil {
			err = checkPrefix(node, in.Spec.Prefix, derive)
		}
		if err != nil {
			found := about(api.TunnelKind, in)
			found.add("%v; the node has no tunnel", err)
			return tunnel{}, found.problems
		}
		prefix, _ := derive(node) // it is what the object says, by checkPrefix
		return tunnel{node: node, owner: ownerOf(in), prefix: prefix, attestation: attestationOf(in)}, nil
	}
}

// readable says why nothing in a Tunnel is used, if so.
func readable(in *api.ReceivedTunnel) error {
	if count := max(len(in.Spec.Identities), len(in.Status.Identities)); in.Err == nil && count > maxIdentities {
		return fmt.Errorf("identities: %d, more than %d", count, maxIdentities)
	}
	return in.Err
}

// podIdentities passes over numbers that no pod can have: they vouch for
// nothing.
func podIdentities(numbers []int64) []identity.ID {
	if len(numbers) == 0 {
		return nil
	}
	ids := make([]identity.ID, 0, len(numbers))
	for _, n := range numbers {
		if n > int64(identity.MaxReserved) && n <= math.MaxUint32 {
			ids = append(ids, identity.ID(n))
		}
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

func ownerOf(object *api.ReceivedTunnel) string {
	for _, owner := range object.OwnerReferences {
		if owner.Kind == "Node" && owner.Name == object.Name {
			return string(owner.UID)
		}
	}
	return ""
}

func parseTunnelSpec(name string, spec *api.TunnelSpec) (overlay.Node, error) {
	node := overlay.Node{Name: name}
	var err error
	if node.PublicKey, err = parseKey(spec.PublicKey); err != nil {
		return overlay.Node{}, fmt.Errorf("publicKey: %w", err)
	}
	if node.Detour, err = parseDetour(spec.Detour); err != nil {
		return overlay.Node{}, fmt.Errorf("detour: %w", err)
	}
	if node.Keyed, err = parseTime(spec.Keyed); err != nil {
		return overlay.Node{}, fmt.Errorf("keyed: %w", err)
	}
	if node.PodCIDRs, err = parsePodCIDRs(spec.PodCIDRs); err != nil {
		return overlay.Node{}, fmt.Errorf("podCIDRs: %w", err)
	}
	if node.Endpoint, err = parseEndpoint(spec.Endpoint); err != nil {
		return overlay.Node{}, fmt.Errorf("endpoint: %w", err)
	}
	for _, cidr := range node.PodCIDRs {
		if cidr.Contains(node.Endpoint.Addr()) {
			return overlay.Node{}, fmt.Errorf("endpoint %s lies in the pod range %s", node.Endpoint, cidr)
		}
	}
	if len(spec.Addresses) > maxAddresses {
		return overlay.Node{}, fmt.Errorf("addresses: %d, more than %d", len(spec.Addresses), maxAddresses)
	}
	for _, text := range spec.Addresses {
		addr, err := parseAddr(text)
		if err != nil {
			return overlay.Node{}, fmt.Errorf("addresses: %w", err)
		}
		node.Addresses = append(node.Addresses, addr)
	}
	return node, nil
}

func parseKey(text string) (wgtypes.Key, error) {
	key, err := wgtypes.ParseKey(text)
	if err != nil {
		return wgtypes.Key{}, fmt.Errorf("malformed key %q", text)
	}
	if key == (wgtypes.Key{}) {
		return wgtypes.Key{}, errors.New("the key is all zero")
	}
	return key, nil
}

func parseDetour(spec *api.DetourSpec) (overlay.Detour, error) {
	if spec == nil {
		return overlay.Detour{}, nil
	}
	key, err := parseKey(spec.PublicKey)
	return overlay.Detour{PublicKey: key, Active: spec.Active}, err
}

func parseTime(text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return time.Time{}, fmt.Errorf("malformed time %q", text)
	}
	return at.UTC().Truncate(time.Second), nil
}

func parseEndpoint(text string) (netip.AddrPort, error) {
	endpoint, err := netip.ParseAddrPort(text)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("malformed %q: want ip:port", text)
	}
	if _, err := parseAddr(endpoint.Addr().String()); err != nil {
		return netip.AddrPort{}, err
	}
	if endpoint.Port() == 0 {
		return netip.AddrPort{}, fmt.Errorf("port of %q is 0", text)
	}
	return endpoint, nil
}

// parsePodCIDRs wants one IPv4 range and at most one IPv6 range.
func parsePodCIDRs(texts []string) ([]netip.Prefix, error) {
	var prefixes []netip.Prefix
	for _, text := range texts {
		prefix, err := parsePrefix(text)
		if err != nil {
			return nil, err
		}
		if prefix.Bits() == 0 || !prefix.Addr().IsGlobalUnicast() {
			return nil, fmt.Errorf("%s cannot be a pod range", prefix)
		}
		prefixes = append(prefixes, prefix)
	}
	if _, err := overlay.RangesOf(prefixes); err != nil {
		return nil, fmt.Errorf("want one IPv4 range and at most one IPv6 range: %w", err)
	}
	return prefixes, nil
}

// checkPrefix refuses a published prefix that is not the derived one: the
// node belongs to another cluster, or lies.
func checkPrefix(node overlay.Node, published string, derive PrefixFunc) error {
	want, err := derive(node)
	if err != nil {
		return fmt.Errorf("prefix: %w", err)
	}
	got, err := parsePrefix(published)
	if err != nil {
		return fmt.Errorf("prefix: %w", err)
	}
	if got != want {
		return fmt.Errorf("prefix %s: want %s for this cluster and pod range", got, want)
	}
	return nil
}
