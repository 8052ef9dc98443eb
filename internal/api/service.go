package api

import "net/netip"

// Service is one port of one Service, as the node translates it.
type Service struct {
	Namespace string           `json:"namespace"`
	Name      string           `json:"name"`
	PortName  string           `json:"portName,omitempty"`
	Protocol  string           `json:"protocol"`  // lower case
	Frontends []netip.AddrPort `json:"frontends"` // a NodePort has the address 0.0.0.0 or ::
	Backends  []netip.AddrPort `json:"backends"`
}
