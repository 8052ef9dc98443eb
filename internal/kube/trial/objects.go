package trial

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// command is signet in its image.
const command = "/usr/bin/signet"

// user is nobody in particular: the servers need no rights.
const user = 65532

func namespaceObject() *corev1.Namespace {
	return &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{
		GenerateName: "signet-test-",
		// The pods that share the node's network are not admitted otherwise.
		Labels: map[string]string{Label: "true", "pod-security.kubernetes.io/enforce": "privileged"},
	}}
}

// pods are those of one node.
func (c Config) pods(number int, node string) []*corev1.Pod {
	name := Name(Server, number)
	server := c.pod(number, node, Server, "probe", "serve", "--name", name,
		"--port", fmt.Sprint(Port), "--port", fmt.Sprint(PortNoIngress), "--port", fmt.Sprint(PortNoEgress))
	server.Spec.Containers[0].ReadinessProbe = listens(Port)
	host := c.pod(number, node, Host, "probe", "serve", "--name", Name(Host, number), "--port", fmt.Sprint(c.HostPort),
		// An answer over UDP has to come from the address that was asked.
		"--address", "$(ADDRESS)")
	host.Spec.HostNetwork = true
	host.Spec.Containers[0].Env = []corev1.EnvVar{{
		Name: "ADDRESS", ValueFrom: &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{FieldPath: "status.hostIP"}},
	}}
	host.Spec.Containers[0].ReadinessProbe = listens(int(c.HostPort))
	return []*corev1.Pod{c.pod(number, node, Client, "probe", "serve", "--name", Name(Client, number)), server, host}
}

func (c Config) pod(number int, node, role string, args ...string) *corev1.Pod {
	no, yes, id, grace := false, true, int64(user), int64(1)
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Name: Name(role, number), Labels: map[string]string{"role": role, "pod": Name(role, number)},
		},
		Spec: corev1.PodSpec{
			NodeName: node, AutomountServiceAccountToken: &no, RestartPolicy: corev1.RestartPolicyAlways,
			TerminationGracePeriodSeconds: &grace,
			Tolerations:                   []corev1.Toleration{{Operator: corev1.TolerationOpExists}},
			SecurityContext: &corev1.PodSecurityContext{
				RunAsNonRoot: &yes, RunAsUser: &id, RunAsGroup: &id,
				SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
			},
			Containers: []corev1.Container{{
				Name: "probe", Image: c.Image, ImagePullPolicy: corev1.PullIfNotPresent,
				Command: append([]string{command}, args...),
				SecurityContext: &corev1.SecurityContext{
					AllowPrivilegeEscalation: &no, ReadOnlyRootFilesystem: &yes,
					Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
				},
			}},
		},
	}
}

func listens(port int) *corev1.Probe {
	return &corev1.Probe{
		PeriodSeconds: 1, FailureThreshold: 30,
		ProbeHandler: corev1.ProbeHandler{TCPSocket: &corev1.TCPSocketAction{Port: intstr.FromInt(port)}},
	}
}

func serviceObject(number int) *corev1.Service {
	port := func(name string, protocol corev1.Protocol) corev1.ServicePort {
		return corev1.ServicePort{Name: name, Protocol: protocol, Port: ServicePort, TargetPort: intstr.FromInt(Port)}
	}
	families := corev1.IPFamilyPolicyPreferDualStack
	return &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: Name(Server, number)},
		Spec: corev1.ServiceSpec{
			IPFamilyPolicy: &families,
			Selector:       map[string]string{"pod": Name(Server, number)},
			Ports:          []corev1.ServicePort{port("tcp", corev1.ProtocolTCP), port("udp", corev1.ProtocolUDP)},
		},
	}
}

// policies admit the clients to Port of the servers: each other port lacks one
// direction.
func policies() []*networkingv1.NetworkPolicy {
	role := func(name string) *metav1.LabelSelector {
		return &metav1.LabelSelector{MatchLabels: map[string]string{"role": name}}
	}
	return []*networkingv1.NetworkPolicy{{
		ObjectMeta: metav1.ObjectMeta{Name: "servers"},
		Spec: networkingv1.NetworkPolicySpec{
			PodSelector: *role(Server), PolicyTypes: []networkingv1.PolicyType{networkingv1.PolicyTypeIngress},
			Ingress: []networkingv1.NetworkPolicyIngressRule{{
				From: []networkingv1.NetworkPolicyPeer{{PodSelector: role(Client)}}, Ports: ports(PortNoEgress),
			}},
		},
	}, {
		ObjectMeta: metav1.ObjectMeta{Name: "clients"},
		Spec: networkingv1.NetworkPolicySpec{
			PodSelector: *role(Client), PolicyTypes: []networkingv1.PolicyType{networkingv1.PolicyTypeEgress},
			Egress: []networkingv1.NetworkPolicyEgressRule{{
				To: []networkingv1.NetworkPolicyPeer{{PodSelector: role(Server)}}, Ports: ports(PortNoIngress),
			}},
		},
	}}
}

// ports are Port and another one.
func ports(other int) []networkingv1.NetworkPolicyPort {
	var list []networkingv1.NetworkPolicyPort
	for _, protocol := range []corev1.Protocol{corev1.ProtocolTCP, corev1.ProtocolUDP} {
		for _, number := range []int{Port, other} {
			port := intstr.FromInt(number)
			list = append(list, networkingv1.NetworkPolicyPort{Protocol: &protocol, Port: &port})
		}
	}
	return list
}
