package lab

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"net/netip"
	"text/template"
)

// Image has agnhost, a shell, curl, ip, ping, tcpdump and iperf3.
const Image = "signet.test/toolbox:1"

// Pod is a pod that answers HTTP and UDP on its ports with its own name and
// the address it was asked from.
type Pod struct {
	Namespace, Name string
	Node            int // index of Cluster.Nodes
	Labels          map[string]string
	Annotations     map[string]string
	Ports           []int
	HostPorts       map[int]int // of Ports, by container port
	HostNetwork     bool
	Probed          bool // by the kubelet, every second, as long as it runs
	// Command replaces the servers.
	Command []string
	// Selector is that of the Service; nil: all labels.
	Selector map[string]string
	// NoService leaves out the Service that is named as the pod.
	NoService bool

	Addr    netip.Addr // of IPv4, once it runs
	Addr6   netip.Addr // of IPv6
	Service netip.Addr // ClusterIP of the Service
}

// Key names the pod within the cluster.
func (p *Pod) Key() string { return p.Namespace + "/" + p.Name }

// NameFor is the shortest name of the pod's Service that resolves in the
// namespace of another pod.
func (p *Pod) NameFor(from *Pod) string {
	if p.Namespace == from.Namespace {
		return p.Name
	}
	return p.Name + "." + p.Namespace
}

//go:embed pod.yaml.tmpl
var podTemplate string

var manifests = template.Must(template.New("pod").Funcs(template.FuncMap{"json": toJSON}).Parse(podTemplate))

func toJSON(v any) (string, error) {
	raw, err := json.Marshal(v)
	return string(raw), err
}

// manifest gives the pod and its Service as YAML.
func (p *Pod) manifest(node Node) (string, error) {
	selector := p.Selector
	if selector == nil {
		selector = p.Labels
	}
	var out bytes.Buffer
	err := manifests.Execute(&out, map[string]any{
		"Pod": p, "Node": node.Name, "Image": Image, "Servers": p.servers(), "Selector": selector,
	})
	if err != nil {
		return "", fmt.Errorf("pod %s: %w", p.Key(), err)
	}
	return out.String(), nil
}

// servers is what the pod runs: one server a port, which end with the pod.
func (p *Pod) servers() []string {
	if len(p.Command) > 0 {
		return p.Command
	}
	script := "trap exit TERM\n"
	for _, port := range p.Ports {
		script += fmt.Sprintf("/agnhost netexec --http-port=%d --udp-port=%[1]d &\n", port)
	}
	return []string{"sh", "-c", script + "wait"}
}
