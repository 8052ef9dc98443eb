package kube

import (
	"net/netip"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/signet-cni/signet/enforce/policy"
)

// defaultAffinity is the API's default for sessionAffinity ClientIP.
const defaultAffinity = 3 * time.Hour

// serviceProxyLabel marks a Service that another proxy serves.
const serviceProxyLabel = "service.kubernetes.io/service-proxy-name"

// serviceFront is the Service object's part of a service: where it answers.
// Without addresses there is nothing to translate.
type serviceFront struct {
	addrs     []netip.Addr // cluster IPs
	ports     []servicePort
	affinity  time.Duration
	localOnly bool // cluster IPs lead to this node's endpoints only
}

type servicePort struct {
	name     string
	protocol policy.Protocol
	port     uint16
	nodePort uint16 // 0: none
}

func parseService(in *corev1.Service) (serviceFront, []Problem) {
	found := about("Service", in)
	if in.Spec.Type == corev1.ServiceTypeExternalName || hasLabel(in.Labels, serviceProxyLabel) {
		return serviceFront{}, nil
	}
	addrs := clusterIPs(&in.Spec, found)
	if len(addrs) == 0 {
		return serviceFront{}, found.problems
	}
	out := serviceFront{addrs: addrs, affinity: affinity(&in.Spec)}
	if local := in.Spec.InternalTrafficPolicy; local != nil {
		out.localOnly = *local == corev1.ServiceInternalTrafficPolicyLocal
	}
	for n := range in.Spec.Ports {
		if port, ok := parseServicePort(&in.Spec.Ports[n], found); ok {
			out.ports = append(out.ports, port)
		}
	}
	return out, found.problems
}

func hasLabel(labels map[string]string, key string) bool {
	_, ok := labels[key]
	return ok
}

// clusterIPs gives none for a headless service.
func clusterIPs(spec *corev1.ServiceSpec, found *findings) []netip.Addr {
	texts := spec.ClusterIPs
	if len(texts) == 0 {
		texts = []string{spec.ClusterIP}
	}
	var addrs []netip.Addr
	for _, text := range texts {
		if text == "" || text == corev1.ClusterIPNone {
			continue
		}
		addr, err := parseAddr(text)
		if err != nil {
			found.add("clusterIPs: %v; it is passed over", err)
			continue
		}
		addrs = append(addrs, addr)
	}
	return addrs
}

func affinity(spec *corev1.ServiceSpec) time.Duration {
	if spec.SessionAffinity != corev1.ServiceAffinityClientIP {
		return 0
	}
	config := spec.SessionAffinityConfig
	if config == nil || config.ClientIP == nil || config.ClientIP.TimeoutSeconds == nil || *config.ClientIP.TimeoutSeconds <= 0 {
		return defaultAffinity
	}
	return time.Duration(*config.ClientIP.TimeoutSeconds) * time.Second
}

func parseServicePort(in *corev1.ServicePort, found *findings) (servicePort, bool) {
	protocol := in.Protocol
	if protocol == "" {
		protocol = corev1.ProtocolTCP
	}
	parsed, err := parseProtocol(protocol)
	if err != nil {
		found.add("port %q: %v; it is passed over", in.Name, err)
		return servicePort{}, false
	}
	port, err := parsePortNumber(in.Port)
	if err != nil {
		found.add("port %q: %v; it is passed over", in.Name, err)
		return servicePort{}, false
	}
	out := servicePort{name: in.Name, protocol: parsed, port: port}
	if in.NodePort != 0 {
		if out.nodePort, err = parsePortNumber(in.NodePort); err != nil {
			found.add("port %q: nodePort: %v; it is passed over", in.Name, err)
		}
	}
	return out, true
}
