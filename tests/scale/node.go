package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/signet-cni/signet/tests/control/worker"
)

// node is the one node on which something runs.
type node struct {
	*worker.Node
	cluster  *cluster
	plugin   worker.Plugin
	verifier *worker.Process
}

// newNode starts what outlives an agent.
func newNode(ctx context.Context, c *cluster, commands string) (*node, error) {
	if err := c.fill(ctx, size{nodes: 1}); err != nil {
		return nil, err
	}
	n := &node{cluster: c}
	var err error
	n.Node, err = worker.New(ctx, worker.Config{
		Name: nodeName(0), Underlay: netip.PrefixFrom(nodeAddr(0), 12), Core: c.core, Commands: commands,
		Settings: `{clusterID: "51c7e1", clusterCIDR: 10.0.0.0/8, serviceCIDR: 192.168.0.0/16, wireguardPort: 51872, logLevel: warn}`,
	})
	if err != nil {
		return nil, err
	}
	if n.plugin, err = n.Plugin(); err == nil {
		err = n.startVerifier(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, n.Close())
	}
	return n, nil
}

func (n *node) startVerifier(ctx context.Context) (err error) {
	const file = "verifier.kubeconfig"
	if err := n.Kubeconfig(ctx, "signet-verifier", file); err != nil {
		return err
	}
	n.verifier, err = n.Start("signet-verifier", "--kubeconfig", n.Path(file), "--name", "scale")
	return err
}

// close ends what runs, and removes all files.
func (n *node) close() error {
	n.verifier.Stop()
	return n.Close()
}

// newPod makes a pod of the node's that is not attached yet.
func (n *node) newPod(ctx context.Context, name string, labels map[string]string) (*pod, error) {
	s, err := n.NewSandbox(ctx, makePod(name, 0, nodeName(0), labels))
	if err != nil {
		return nil, fmt.Errorf("make pod %s: %w", name, err)
	}
	return &pod{s, n.plugin}, nil
}

// pod is a local one.
type pod struct {
	*worker.Sandbox
	plugin worker.Plugin
}

// call runs the plugin.
func (p *pod) call(ctx context.Context, command string) (time.Duration, error) {
	return p.Call(ctx, p.plugin, command)
}
