package kube

import (
	"net/netip"
	"slices"

	"github.com/signet-cni/signet/enforce/policy"
	"github.com/signet-cni/signet/enforce/service"
)

// serviceName identifies a Service.
type serviceName struct{ namespace, name string }

// joinServices puts services and the endpoints behind them together.
func joinServices(fronts []*item[serviceFront], endpoints []*item[serviceSlice]) ([]service.Service, []Problem) {
	var problems []Problem
	behind := map[serviceName][]*serviceSlice{}
	for _, it := range endpoints {
		problems = append(problems, it.problems...)
		key := serviceName{it.Namespace, it.value.service}
		behind[key] = append(behind[key], &it.value)
	}
	var out []service.Service
	for _, it := range fronts {
		problems = append(problems, it.problems...)
		key := serviceName{it.Namespace, it.Name}
		for _, port := range it.value.ports {
			out = append(out, joinPort(key, &it.value, port, behind[key])...)
		}
	}
	return out, problems
}

// joinPort gives the service of one port. Where the cluster IPs lead to local
// endpoints only, the node port, which leads to all, is a second one.
func joinPort(key serviceName, front *serviceFront, port servicePort, behind []*serviceSlice) []service.Service {
	cluster := service.Service{Namespace: key.namespace, Name: key.name, Port: port.name, Affinity: front.affinity}
	for _, addr := range front.addrs {
		cluster.Frontends = append(cluster.Frontends, service.Frontend{Addr: addr, Port: port.port, Protocol: port.protocol})
	}
	cluster.Backends = backends(port, behind, front.localOnly)
	if port.nodePort == 0 {
		return []service.Service{cluster}
	}
	outside := nodePorts(front.addrs, port)
	if !front.localOnly {
		cluster.Frontends = append(cluster.Frontends, outside...)
		return []service.Service{cluster}
	}
	second := cluster
	second.Frontends = outside
	second.Backends = backends(port, behind, false)
	return []service.Service{cluster, second}
}

// nodePorts gives one of each family that the service has a cluster IP of.
func nodePorts(addrs []netip.Addr, port servicePort) []service.Frontend {
	var fronts []service.Frontend
	for n, everywhere := range []netip.Addr{netip.IPv4Unspecified(), netip.IPv6Unspecified()} {
		if slices.ContainsFunc(addrs, func(a netip.Addr) bool { return family(a) == n }) {
			fronts = append(fronts, service.Frontend{Addr: everywhere, Port: port.nodePort, Protocol: port.protocol})
		}
	}
	return fronts
}

// backends gives the endpoints that serve a port, sorted and unique. Whether
// the ready ones suffice is decided for each family by itself.
func backends(port servicePort, behind []*serviceSlice, localOnly bool) []netip.AddrPort {
	var found [2][ready + 1][]netip.AddrPort // by family and state
	for _, slice := range behind {
		number, ok := targetPort(slice.ports, port.name, port.protocol)
		if !ok {
			continue
		}
		for _, entry := range slice.endpoints {
			if localOnly && !entry.local {
				continue
			}
			states := &found[family(entry.addr)]
			states[entry.state] = append(states[entry.state], netip.AddrPortFrom(entry.addr, number))
		}
	}
	var out []netip.AddrPort
	for _, states := range found {
		best := states[ready]
		if len(best) == 0 {
			best = states[servingTerminating]
		}
		out = append(out, best...)
	}
	slices.SortFunc(out, netip.AddrPort.Compare)
	return slices.Compact(out)
}

func targetPort(ports []slicePort, name string, protocol policy.Protocol) (uint16, bool) {
	for _, port := range ports {
		if port.name == name && port.protocol == protocol {
			return port.port, true
		}
	}
	return 0, false
}

func family(addr netip.Addr) int {
	if addr.Is4() {
		return 0
	}
	return 1
}
