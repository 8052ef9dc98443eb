// Package lab puts pods into a cluster and tries what can talk to what.
package lab

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strings"

	"github.com/signet-cni/signet/tests/e2e/kubectl"
)

// Cluster is a kind cluster of one control plane and two workers.
type Cluster struct {
	kubectl.Client
	Name  string
	Nodes []Node // the workers, then the control plane
}

// Node is one node of it, and a container of the engine.
type Node struct {
	Name    string
	Addr    netip.Addr // InternalIP of IPv4
	Addr6   netip.Addr // and of IPv6
	PodCIDR netip.Prefix
}

// Places of pods, as indexes of Cluster.Nodes.
const (
	Worker = iota
	Worker2
	ControlPlane
)

// Open finds the cluster that the environment names: $CLUSTER, or signet.
func Open(ctx context.Context) (*Cluster, error) {
	name := os.Getenv("CLUSTER")
	if name == "" {
		name = "signet"
	}
	c := &Cluster{Client: kubectl.Client{Context: "kind-" + name}, Name: name}
	var list nodeList
	if err := c.Get(ctx, &list, "nodes"); err != nil {
		return nil, err
	}
	for _, item := range list.Items {
		node, err := item.node()
		if err != nil {
			return nil, err
		}
		c.Nodes = append(c.Nodes, node)
	}
	if len(c.Nodes) != ControlPlane+1 {
		return nil, fmt.Errorf("cluster %s has %d nodes, want %d", name, len(c.Nodes), ControlPlane+1)
	}
	slices.SortFunc(c.Nodes, func(a, b Node) int {
		return strings.Compare(rank(a), rank(b))
	})
	return c, nil
}

// rank sorts the control plane last.
func rank(n Node) string {
	if strings.HasSuffix(n.Name, "-control-plane") {
		return "~"
	}
	return n.Name
}

type nodeList struct {
	Items []nodeItem `json:"items"`
}

type nodeItem struct {
	Metadata struct {
		Name string `json:"name"`
	} `json:"metadata"`
	Spec struct {
		PodCIDR string `json:"podCIDR"`
	} `json:"spec"`
	Status struct {
		Addresses []struct {
			Type    string `json:"type"`
			Address string `json:"address"`
		} `json:"addresses"`
	} `json:"status"`
}

func (i nodeItem) node() (Node, error) {
	n := Node{Name: i.Metadata.Name}
	var errs [2]error
	n.PodCIDR, errs[0] = netip.ParsePrefix(i.Spec.PodCIDR)
	var own []netip.Addr
	for _, a := range i.Status.Addresses {
		if a.Type == "InternalIP" {
			addr, err := netip.ParseAddr(a.Address)
			own, errs[1] = append(own, addr), errors.Join(errs[1], err)
		}
	}
	n.Addr, n.Addr6 = byFamily(own)
	if err := errors.Join(errs[:]...); err != nil {
		return n, fmt.Errorf("node %s: %w", n.Name, err)
	}
	return n, nil
}

// byFamily picks an address of IPv4 and one of IPv6.
func byFamily(list []netip.Addr) (v4, v6 netip.Addr) {
	for _, a := range list {
		if a.Is4() {
			v4 = a
		} else {
			v6 = a
		}
	}
	return v4, v6
}

// OnNode runs a command on a node, as root, outside of every pod.
func (c *Cluster) OnNode(ctx context.Context, node int, command ...string) (string, error) {
	args := append([]string{"exec", "-i", c.Nodes[node].Name}, command...)
	out, err := exec.CommandContext(ctx, "docker", args...).CombinedOutput()
	if err != nil {
		return string(out), fmt.Errorf("on %s: %v: %w: %s", c.Nodes[node].Name, command, err, out)
	}
	return string(out), nil
}
