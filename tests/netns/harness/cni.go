package harness

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	current "github.com/containernetworking/cni/pkg/types/100"
	"github.com/vishvananda/netlink"

	"github.com/signet-cni/signet/cni"
	"github.com/signet-cni/signet/enforce/datapath"
)

// cniSide is the agent's side of the CNI plugin on one node. It implements
// cni.Network as the agent does: hooks first, then identity and policy.
type cniSide struct {
	node    *Node
	manager *cni.Manager
	socket  string
	stop    func()
	refusal error // of what Connect has attached, see RefusePods
}

func newCNISide(n *Node) *cniSide {
	n.t.Helper()
	s := &cniSide{node: n, socket: filepath.Join(n.dir, "cni.sock")}
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError}))
	ctx, cancel := context.WithCancel(context.Background())
	err := n.Try(func() (err error) {
		s.manager, err = cni.New(ctx, cni.Config{
			Dir: n.dir, Network: s, Node: s.describe, Changed: func() {}, Log: log, Netkit: n.cluster.options.Netkit,
		})
		return err
	})
	if err != nil {
		cancel()
		n.t.Fatalf("CNI of %s: %v", n.name, err)
	}
	listener, err := cni.Listen(s.socket, log)
	if err != nil {
		cancel()
		n.t.Fatalf("CNI of %s: %v", n.name, err)
	}
	served := make(chan error, 1)
	go func() { served <- cni.NewServer(s.manager, log).Serve(ctx, listener) }()
	s.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-served; err != nil {
			n.t.Errorf("CNI of %s: %v", n.name, err)
		}
	})
	n.t.Cleanup(s.stop)
	return s
}

func (s *cniSide) describe() cni.Node {
	p := s.node.Plan
	n := cni.Node{Name: s.node.name, PodCIDR: p.Pods.V4, Addr: p.Address, MTU: p.MTU.Pods}
	if p.Address6.IsValid() {
		n.PodCIDR6, n.Addr6 = p.Pods.V6, p.Address6
	}
	return n
}

// Ready implements cni.Network.
func (s *cniSide) Ready() error { return nil }

// Connect implements cni.Network.
func (s *cniSide) Connect(_ context.Context, ep cni.Endpoint) error {
	err := s.node.Try(func() error { return s.node.Datapath.AttachPod(deviceOf(ep)) })
	if err != nil {
		return err
	}
	pod, ok := s.node.cluster.pods[ep.Namespace+"/"+ep.Pod]
	if !ok {
		return fmt.Errorf("no pod %s/%s", ep.Namespace, ep.Pod)
	}
	pod.endpoint = ep
	return errors.Join(pod.apply(), s.refusal)
}

func deviceOf(ep cni.Endpoint) datapath.PodDevice {
	return datapath.PodDevice{IfIndex: ep.HostIfIndex, Shaped: ep.Shaped, Netkit: ep.Netkit}
}

// Silence implements cni.Network.
func (s *cniSide) Silence(_ context.Context, ep cni.Endpoint) (err error) {
	for _, addr := range ep.Addrs() {
		err = errors.Join(err, s.node.Datapath.DeleteEndpoint(addr))
	}
	return err
}

// Disconnect implements cni.Network.
func (s *cniSide) Disconnect(ctx context.Context, ep cni.Endpoint) error {
	// The agent removes interfaces in its own network namespace, the node's.
	removed := s.node.Try(func() error { return delLink(ep.HostIfName) })
	return errors.Join(s.Silence(ctx, ep), removed, s.node.Datapath.Detach(ep.HostIfIndex))
}

// Check implements cni.Network.
func (s *cniSide) Check(context.Context, cni.Endpoint) error { return nil }

// call runs the plugin in the node's namespaces, as the kubelet would.
func (s *cniSide) call(command string, p *Pod) ([]byte, error) {
	conf := map[string]any{
		"cniVersion": "1.1.0", "name": "signet", "type": "signet", "agentSocket": s.socket,
	}
	if p.shaped {
		conf["runtimeConfig"] = map[string]any{"bandwidth": map[string]uint64{"ingressRate": 1}}
	}
	stdin, err := json.Marshal(conf)
	if err != nil {
		return nil, err
	}
	cmd := itself(rolePlugin)
	cmd.Env = append(cmd.Env, "CNI_COMMAND="+command, "CNI_CONTAINERID="+p.key, "CNI_IFNAME=eth0",
		"CNI_NETNS="+p.path("net"), "CNI_PATH=/opt/cni/bin", fmt.Sprintf(
			"CNI_ARGS=IgnoreUnknown=1;K8S_POD_NAMESPACE=%s;K8S_POD_NAME=%s;K8S_POD_UID=%s", p.Labels.Namespace, p.Name, p.key))
	var stdout, stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(stdin), &stdout, &stderr
	if err := s.node.Try(cmd.Run); err != nil {
		return nil, fmt.Errorf("%s: %w: %s%s", command, err, strings.TrimSpace(stdout.String()), stderr.String())
	}
	return stdout.Bytes(), nil
}

// add attaches the pod, which then has the addresses that the agent knows.
func (s *cniSide) add(p *Pod) error {
	got, err := s.attach(p)
	if err != nil {
		return err
	}
	if !slices.Equal(got, p.endpoint.Addrs()) {
		return fmt.Errorf("ADD gave addresses %v, the agent %v", got, p.endpoint.Addrs())
	}
	p.Addr, p.Addr6 = p.endpoint.Addr, p.endpoint.Addr6
	return nil
}

// attach reads the pod's addresses, of which there is one at least, from the
// plugin's result.
func (s *cniSide) attach(p *Pod) (addrs []netip.Addr, err error) {
	stdout, err := s.call("ADD", p)
	if err != nil {
		return nil, err
	}
	var result current.Result
	if err := json.Unmarshal(stdout, &result); err != nil {
		return nil, fmt.Errorf("ADD printed %q: %w", stdout, err)
	}
	if len(result.IPs) == 0 {
		return nil, fmt.Errorf("ADD gave no address: %q", stdout)
	}
	for _, ip := range result.IPs {
		addr, _ := netip.AddrFromSlice(ip.Address.IP)
		addrs = append(addrs, addr.Unmap())
	}
	return addrs, nil
}

// delLink removes a device of the calling thread's namespace, if it is there.
func delLink(name string) error {
	link, err := netlink.LinkByName(name)
	var notFound netlink.LinkNotFoundError
	if errors.As(err, &notFound) {
		return nil
	}
	if err != nil {
		return err
	}
	return netlink.LinkDel(link)
}
