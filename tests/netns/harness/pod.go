package harness

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"

	"golang.org/x/sys/unix"

	"github.com/signet-cni/signet/cni"
	"github.com/signet-cni/signet/enforce/datapath"
	"github.com/signet-cni/signet/identity"
)

// Labels are what decides about a pod.
type Labels struct {
	Namespace string
	Pod       map[string]string
}

// Role is the Labels of a pod in namespace test with one label, role.
func Role(role string) Labels {
	return Labels{Namespace: "test", Pod: map[string]string{"role": role}}
}

// Pod is a pod: a namespace with the interface that the plugin made.
type Pod struct {
	Host
	Name     string
	Node     *Node
	Labels   Labels
	Identity identity.ID

	key      string // container ID and UID
	shaped   bool
	ports    []datapath.NamedPort
	endpoint cni.Endpoint
}

// AddPod starts a pod on a node.
func (c *Cluster) AddPod(n *Node, labels Labels, ports ...datapath.NamedPort) *Pod {
	c.t.Helper()
	return c.addPod(&Pod{Node: n, Labels: labels, ports: ports})
}

// AddShapedPod starts a pod whose bandwidth is to be limited.
func (c *Cluster) AddShapedPod(n *Node, labels Labels) *Pod {
	c.t.Helper()
	return c.addPod(&Pod{Node: n, Labels: labels, shaped: true})
}

func (c *Cluster) addPod(p *Pod) *Pod {
	c.t.Helper()
	c.prepare(p)
	c.must(p.Node.cni.add(p))
	return p
}

// prepare makes the pod's namespace, without an interface.
func (c *Cluster) prepare(p *Pod) {
	c.t.Helper()
	p.Name = fmt.Sprintf("pod-%d", len(c.pods))
	p.key = "c-" + p.Name
	p.Namespace = newNamespace(c.t, p.Name)
	c.pods[p.Labels.Namespace+"/"+p.Name] = p
}

// PreparePod makes a pod that has no interface yet; Start gives it one.
func (c *Cluster) PreparePod(n *Node, labels Labels) *Pod {
	c.t.Helper()
	p := &Pod{Node: n, Labels: labels}
	c.prepare(p)
	return p
}

// Start attaches a prepared pod: CNI ADD.
func (p *Pod) Start() error { return p.Node.cni.add(p) }

// apply puts the pod's identity in force, after policy that knows it.
func (p *Pod) apply() error {
	c := p.Node.cluster
	id, err := c.identify(p.Labels.Namespace, p.Labels.Pod)
	if err != nil {
		return err
	}
	p.Identity = id
	if p.Node.Datapath.Revision() != 0 {
		if err := c.applyPolicies(); err != nil {
			return err
		}
	}
	ep := datapath.Endpoint{
		IfIndex: p.endpoint.HostIfIndex, Identity: id,
		MAC: p.endpoint.PodMAC, HostMAC: p.endpoint.HostMAC, Shaped: p.endpoint.Shaped, Ports: p.ports,
	}
	for _, ep.Addr = range p.endpoint.Addrs() {
		err = errors.Join(err, p.Node.Datapath.SetEndpoint(ep))
	}
	return err
}

// Relabel gives the pod other labels, and so another identity.
func (p *Pod) Relabel(labels map[string]string) {
	p.t.Helper()
	p.Labels.Pod = maps.Clone(labels)
	p.Node.cluster.must(p.apply())
}

// HostIf is the name of the pod's interface on its node.
func (p *Pod) HostIf() string { return p.endpoint.HostIfName }

// Frame is a packet as the pod itself would send it.
func (p *Pod) Frame(packet Packet) []byte {
	return p.FrameOf(unix.ETH_P_IP, packet.Bytes())
}

// FrameOf is Frame for what is not IPv4.
func (p *Pod) FrameOf(protocol uint16, packet []byte) []byte {
	return Frame(p.endpoint.HostMAC, p.endpoint.PodMAC, protocol, packet)
}

// RemovePod takes the pod off its node: CNI DEL.
func (c *Cluster) RemovePod(p *Pod) error {
	_, err := p.Node.cni.call("DEL", p)
	return err
}

// AddPodAt starts pods until one has this address, which must be free: the
// node gives out the others first.
func (c *Cluster) AddPodAt(n *Node, addr netip.Addr, labels Labels) *Pod {
	c.t.Helper()
	for {
		if p := c.AddPod(n, labels); p.Addr == addr {
			return p
		}
	}
}
