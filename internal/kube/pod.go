package kube

import (
	"net/netip"

	corev1 "k8s.io/api/core/v1"
)

func parsePod(in *corev1.Pod) (Pod, []Problem) {
	found := about("Pod", in)
	out := Pod{
		Namespace:   in.Namespace,
		Name:        in.Name,
		UID:         string(in.UID),
		Labels:      in.Labels,
		HostNetwork: in.Spec.HostNetwork,
		Phase:       string(in.Status.Phase),
		IPs:         podIPs(&in.Status, found),
	}
	for n := range in.Spec.InitContainers {
		container := &in.Spec.InitContainers[n]
		if policy := container.RestartPolicy; policy != nil && *policy == corev1.ContainerRestartPolicyAlways {
			out.Ports = appendPorts(out.Ports, container, found)
		}
	}
	for n := range in.Spec.Containers {
		out.Ports = appendPorts(out.Ports, &in.Spec.Containers[n], found)
	}
	return out, found.problems
}

// appendPorts adds the ports of a container that have a name.
func appendPorts(ports []NamedPort, container *corev1.Container, found *findings) []NamedPort {
	for _, port := range container.Ports {
		if port.Name == "" {
			continue
		}
		protocol := port.Protocol
		if protocol == "" {
			protocol = corev1.ProtocolTCP
		}
		parsed, err := parseProtocol(protocol)
		if err != nil {
			found.add("container %s, port %s: %v; no policy can name it", container.Name, port.Name, err)
			continue
		}
		number, err := parsePortNumber(port.ContainerPort)
		if err != nil {
			found.add("container %s, port %s: %v; no policy can name it", container.Name, port.Name, err)
			continue
		}
		ports = append(ports, NamedPort{Name: port.Name, Protocol: parsed, Port: number})
	}
	return ports
}

func podIPs(status *corev1.PodStatus, found *findings) []netip.Addr {
	var ips []netip.Addr
	for _, ip := range status.PodIPs {
		addr, err := parseAddr(ip.IP)
		if err != nil {
			found.add("status.podIPs: %v; it is passed over", err)
			continue
		}
		ips = append(ips, addr)
	}
	return ips
}
