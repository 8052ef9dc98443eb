package harness

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	current "github.com/containernetworking/cni/pkg/types/100"

	"github.com/signet-cni/signet/cni"
)

// cniSide is the agent's side of the CNI plugin on one node. It implements
// cni.Network as the agent does: hooks first, then identity and policy.
type cniSide struct {
	node    *Node
	manager *cni.Manager
	socket  string
}

func newCNISide(n *Node) *cniSide {
	n.t.Helper()
	s := &cniSide{node: n, socket: filepath.Join(n.dir, "cni.sock")}
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError}))
	ctx, cancel := context.WithCancel(context.Background())
	manager, err := cni.New(ctx, cni.Config{
		Dir: n.dir, Network: s, Node: s.describe, Changed: func() {}, Log: log,
	})
	if err != nil {
		cancel()
		n.t.Fatalf("CNI of %s: %v", n.name, err)
	}
	s.manager = manager
	listener, err := cni.Listen(s.socket, log)
	if err != nil {
		cancel()
		n.t.Fatalf("CNI of %s: %v", n.name, err)
	}
	served := make(chan error, 1)
	go func() { served <- cni.NewServer(manager, log).Serve(ctx, listener) }()
	n.t.Cleanup(func() {
		cancel()
		if err := <-served; err != nil {
			n.t.Errorf("CNI of %s: %v", n.name, err)
		}
	})
	return s
}

func (s *cniSide) describe() cni.Node {
	return cni.Node{Name: s.node.name, PodCIDR: s.node.PodCIDR, Addr: s.node.Addr, MTU: s.node.Plan.MTU.Pods}
}

// Ready implements cni.Network.
func (s *cniSide) Ready() error { return nil }

// Connect implements cni.Network.
func (s *cniSide) Connect(_ context.Context, ep cni.Endpoint) error {
	err := s.node.Try(func() error { return s.node.Datapath.AttachPod(ep.HostIfIndex) })
	if err != nil {
		return err
	}
	pod, ok := s.node.cluster.pods[ep.Namespace+"/"+ep.Pod]
	if !ok {
		return fmt.Errorf("no pod %s/%s", ep.Namespace, ep.Pod)
	}
	pod.endpoint = ep
	return pod.apply()
}

// Disconnect implements cni.Network.
func (s *cniSide) Disconnect(_ context.Context, ep cni.Endpoint) error {
	return errors.Join(s.node.Datapath.DeleteEndpoint(ep.Addr), s.node.Datapath.Detach(ep.HostIfIndex))
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

// add attaches the pod and reads its address from the plugin's result.
func (s *cniSide) add(p *Pod) error {
	stdout, err := s.call("ADD", p)
	if err != nil {
		return err
	}
	var result current.Result
	if err := json.Unmarshal(stdout, &result); err != nil {
		return fmt.Errorf("ADD printed %q: %w", stdout, err)
	}
	if len(result.IPs) != 1 {
		return fmt.Errorf("ADD gave %d addresses", len(result.IPs))
	}
	if got := result.IPs[0].Address.IP.String(); got != p.endpoint.Addr.String() {
		return fmt.Errorf("ADD gave address %s, the agent %s", got, p.endpoint.Addr)
	}
	p.Addr = p.endpoint.Addr
	return nil
}
