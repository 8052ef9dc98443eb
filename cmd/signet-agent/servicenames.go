package main

import (
	"net/netip"
	"sync/atomic"

	"github.com/signet-cni/signet/enforce/policy"
	"github.com/signet-cni/signet/enforce/service"
)

// serviceNames tells which Service answers at an address. It is safe for
// concurrent use.
type serviceNames struct {
	known atomic.Pointer[map[service.Frontend]string]
}

// set takes in all Services.
func (n *serviceNames) set(services []service.Service) {
	next := make(map[service.Frontend]string, len(services))
	for _, s := range services {
		for _, f := range s.Frontends {
			next[f] = s.Namespace + "/" + s.Name
		}
	}
	n.known.Store(&next)
}

// name gives the namespace/name of the Service at an address; that of a
// NodePort at any address of a node; "" if there is none.
func (n *serviceNames) name(protocol uint8, at netip.AddrPort) string {
	known := n.known.Load()
	if known == nil {
		return ""
	}
	frontend := service.Frontend{Addr: at.Addr(), Port: at.Port(), Protocol: policy.Protocol(protocol)}
	if name, ok := (*known)[frontend]; ok {
		return name
	}
	frontend.Addr = netip.IPv4Unspecified()
	if at.Addr().Is6() {
		frontend.Addr = netip.IPv6Unspecified()
	}
	return (*known)[frontend]
}
