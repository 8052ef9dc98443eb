package kube

import (
	"fmt"
	"math"
	"net/netip"
	"strconv"
	"time"
)

// The annotations that Signet reads on its own Node.
const (
	// EndpointAnnotation is where other nodes reach the node's first WireGuard
	// device, "ip:port", if that is not its InternalIP and the cluster's port: the
	// outside of a NAT. The next port has to lead to the second device.
	EndpointAnnotation = "signet-cni.io/endpoint"
	// KeepaliveAnnotation is how often the node sends something to every other,
	// 1s to 1h in whole seconds, so that a NAT before it stays open.
	KeepaliveAnnotation = "signet-cni.io/keepalive"
	// MTUAnnotation is the largest packet in bytes that the node's underlay
	// carries, if that is less than its devices say.
	MTUAnnotation = "signet-cni.io/mtu"
)

// Bounds of an underlay's MTU: what every IPv4 host can receive and the tunnel
// adds (RFC 791), and the largest packet.
const (
	minUnderlayMTU = 576 + 100
	maxUnderlayMTU = math.MaxUint16
)

// TunnelWishes are what a Node's annotations say of its tunnel; zero values
// where they say nothing.
type TunnelWishes struct {
	Endpoint  netip.AddrPort
	Keepalive time.Duration
	MTU       int // bytes
}

// wishes reads the annotations. One that is not understood changes nothing, and
// is a problem.
func wishes(annotations map[string]string, found *findings) (w TunnelWishes) {
	for _, one := range []struct {
		name string
		take func(string) error
	}{
		{EndpointAnnotation, func(text string) (err error) { w.Endpoint, err = parseOwnEndpoint(text); return err }},
		{KeepaliveAnnotation, func(text string) (err error) { w.Keepalive, err = parseKeepalive(text); return err }},
		{MTUAnnotation, func(text string) (err error) { w.MTU, err = ParseMTU(text); return err }},
	} {
		text, ok := annotations[one.name]
		if !ok {
			continue
		}
		if err := one.take(text); err != nil {
			found.add("annotation %s: %v; it is passed over", one.name, err)
		}
	}
	return w
}

func parseOwnEndpoint(text string) (netip.AddrPort, error) {
	endpoint, err := parseEndpoint(text)
	if err == nil && endpoint.Port() == math.MaxUint16 {
		err = fmt.Errorf("port of %q: want 65534 at most, since the next one is used as well", text)
	}
	if err != nil {
		return netip.AddrPort{}, err
	}
	return endpoint, nil
}

func parseKeepalive(text string) (time.Duration, error) {
	d, err := time.ParseDuration(text)
	if err != nil || d < time.Second || d > time.Hour || d != d.Truncate(time.Second) {
		return 0, fmt.Errorf("%.40q: want whole seconds from 1s to 1h, such as 25s", text)
	}
	return d, nil
}

// ParseMTU reads the MTU of an underlay, in bytes.
func ParseMTU(text string) (int, error) {
	mtu, err := strconv.Atoi(text)
	if err != nil || mtu < minUnderlayMTU || mtu > maxUnderlayMTU {
		return 0, fmt.Errorf("%.40q: want bytes from %d to %d", text, minUnderlayMTU, maxUnderlayMTU)
	}
	return mtu, nil
}
