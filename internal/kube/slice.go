package kube

import (
	"net/netip"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"

	"github.com/signet-cni/signet/enforce/policy"
)

// serviceSlice is an EndpointSlice's part of a service: what answers for it.
type serviceSlice struct {
	service   string // "" if the slice belongs to none
	ports     []slicePort
	endpoints []endpoint
}

type slicePort struct {
	name     string
	protocol policy.Protocol
	port     uint16
}

type endpoint struct {
	addr  netip.Addr
	state endpointState
	local bool // on this node
}

// endpointState orders endpoints: those that are ready serve, and where there
// are none, those that still do while they terminate.
type endpointState uint8

const (
	notServing endpointState = iota
	servingTerminating
	ready
)

// sliceParser reads EndpointSlices as the node of that name sees them.
func sliceParser(nodeName string) func(*discoveryv1.EndpointSlice) (serviceSlice, []Problem) {
	return func(in *discoveryv1.EndpointSlice) (serviceSlice, []Problem) {
		found := about("EndpointSlice", in)
		service := in.Labels[discoveryv1.LabelServiceName]
		if service == "" || in.AddressType == discoveryv1.AddressTypeFQDN {
			return serviceSlice{}, nil
		}
		out := serviceSlice{service: service}
		for n := range in.Ports {
			if port, ok := parseSlicePort(&in.Ports[n], found); ok {
				out.ports = append(out.ports, port)
			}
		}
		for n := range in.Endpoints {
			from := &in.Endpoints[n]
			entry := endpoint{state: stateOf(&from.Conditions), local: from.NodeName != nil && *from.NodeName == nodeName}
			if entry.state == notServing || len(from.Addresses) == 0 {
				continue
			}
			// All addresses of an endpoint mean the same; the API lets
			// clients take the first.
			addr, err := parseAddr(from.Addresses[0])
			if err != nil || addr.Is4() != (in.AddressType == discoveryv1.AddressTypeIPv4) {
				found.add("endpoints[%d]: address %q of type %q; it is passed over", n, from.Addresses[0], in.AddressType)
				continue
			}
			entry.addr = addr
			out.endpoints = append(out.endpoints, entry)
		}
		return out, found.problems
	}
}

// stateOf reads the conditions as the API defines their absence: not known is
// ready, serving goes with ready, and terminating is false.
func stateOf(in *discoveryv1.EndpointConditions) endpointState {
	if in.Ready == nil || *in.Ready {
		return ready
	}
	if in.Serving != nil && *in.Serving && in.Terminating != nil && *in.Terminating {
		return servingTerminating
	}
	return notServing
}

// parseSlicePort passes over a port without a number, which the API defines as
// one that no service port has.
func parseSlicePort(in *discoveryv1.EndpointPort, found *findings) (slicePort, bool) {
	if in.Port == nil {
		return slicePort{}, false
	}
	out := slicePort{}
	if in.Name != nil {
		out.name = *in.Name
	}
	protocol := corev1.ProtocolTCP
	if in.Protocol != nil {
		protocol = *in.Protocol
	}
	var err error
	if out.protocol, err = parseProtocol(protocol); err != nil {
		found.add("port %q: %v; it is passed over", out.name, err)
		return slicePort{}, false
	}
	if out.port, err = parsePortNumber(*in.Port); err != nil {
		found.add("port %q: %v; it is passed over", out.name, err)
		return slicePort{}, false
	}
	return out, true
}
