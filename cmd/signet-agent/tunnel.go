package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"golang.zx2c4.com/wireguard/wgctrl/wgtypes"

	"github.com/signet-cni/signet/enforce/datapath"
	"github.com/signet-cni/signet/internal/api"
	"github.com/signet-cni/signet/internal/kube"
	"github.com/signet-cni/signet/overlay"
	"github.com/signet-cni/signet/overlay/device"
	"github.com/signet-cni/signet/overlay/plan"
)

// tunnel keeps the WireGuard device, the routes and the datapath's table of
// nodes in line with what the nodes publish.
type tunnel struct {
	agent  *agent
	key    wgtypes.Key
	device *device.Device
	index  int // of the device; fixed while the agent runs

	mu   sync.Mutex
	last tunnelPlan
}

// tunnelPlan is a plan, and what it was made for.
type tunnelPlan struct {
	plan.Result
	podCIDR netip.Prefix
}

func newTunnel(a *agent, key wgtypes.Key) *tunnel { return &tunnel{agent: a, key: key} }

// prefixOf derives the tunnel prefix of any node from what it publishes.
func (a *agent) prefixOf(n overlay.Node) (netip.Prefix, error) {
	for _, cidr := range n.PodCIDRs {
		if cidr.Addr().Is4() {
			return overlay.Prefix(a.cfg.cluster, cidr)
		}
	}
	return netip.Prefix{}, fmt.Errorf("node %s has no IPv4 pod range", n.Name)
}

// open makes the device and the first plan: this node alone.
func (t *tunnel) open(ctx context.Context) error {
	result, err := t.compute()
	if err != nil {
		return err
	}
	wait, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	t.device, err = device.Ensure(wait, overlay.DefaultDevice, result.MTU.Device)
	if err != nil {
		return err
	}
	state, err := t.device.Status()
	if err != nil {
		return err
	}
	t.index = state.Index
	t.agent.log.Info("WireGuard device", "device", state.Name, "kind", string(state.Kind), "mtu", result.MTU.Device)
	return nil
}

// self is this node as it publishes itself.
func (t *tunnel) self() (overlay.Node, error) {
	node, _, known := t.agent.watcher.Node()
	if !known {
		return overlay.Node{}, fmt.Errorf("the API server has no node %q: check --node-name", t.agent.cfg.nodeName)
	}
	self := overlay.Node{
		Name: node.Name, PublicKey: t.key.PublicKey(),
		PodCIDRs: ipv4(node.PodCIDRs, netip.Prefix.Addr), Addresses: ipv4(node.InternalIPs, netip.Addr.Unmap),
	}
	if len(self.PodCIDRs) == 0 {
		return self, fmt.Errorf("node %s has no IPv4 podCIDR: start the controller manager with --allocate-node-cidrs and --cluster-cidr", node.Name)
	}
	if len(self.Addresses) == 0 {
		return self, fmt.Errorf("node %s has no IPv4 InternalIP: set the kubelet's --node-ip", node.Name)
	}
	self.Endpoint = netip.AddrPortFrom(self.Addresses[0], t.agent.cfg.port)
	return self, nil
}

// ipv4 keeps what has an IPv4 address.
func ipv4[T any](list []T, addr func(T) netip.Addr) []T {
	var kept []T
	for _, item := range list {
		if addr(item).Is4() {
			kept = append(kept, item)
		}
	}
	return kept
}

// compute plans from what is published now, and remembers the plan.
func (t *tunnel) compute() (tunnelPlan, error) {
	self, err := t.self()
	if err != nil {
		return tunnelPlan{}, err
	}
	mtu, err := device.UnderlayMTU(self.Addresses[0], overlay.DefaultDevice)
	if err != nil {
		return tunnelPlan{}, err
	}
	nodes, _ := t.agent.watcher.Nodes()
	result, err := plan.Compute(self, nodes, plan.Config{
		Cluster: t.agent.cfg.cluster, ClusterCIDR: t.agent.cfg.clusterCIDR,
		ServiceCIDR: t.agent.cfg.serviceCIDR, UnderlayMTU: mtu,
		Accepted: t.current().Accepted,
	})
	if err != nil {
		return tunnelPlan{}, err
	}
	next := tunnelPlan{Result: result, podCIDR: self.PodCIDRs[0]}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.last = next
	return next, nil
}

// current is the last plan.
func (t *tunnel) current() tunnelPlan {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.last
}

// sync puts a new plan in force. The datapath learns of nodes after the
// device has them as peers, so what it sends there is never refused for lack
// of a key; it forgets them before.
func (t *tunnel) sync(ctx context.Context) error {
	before := t.current()
	next, err := t.compute()
	if err != nil {
		return err
	}
	if before.Prefix != next.Prefix {
		return errors.New("this node's pod range has changed: restart the agent, after draining the node")
	}
	changes, err := t.device.Configure(device.Desired{
		PrivateKey: t.key, ListenPort: t.agent.cfg.port, MTU: next.MTU.Device,
		Address: next.Address, Peers: next.Peers, Routes: next.Routes,
	})
	if !changes.Empty() {
		t.agent.log.Info("tunnel changed", "added", len(changes.Added), "updated", len(changes.Updated),
			"removed", len(changes.Removed), "system", changes.System)
	}
	if err != nil {
		return err
	}
	if _, err := t.agent.datapath.SetLocations(t.locations(next)); err != nil {
		return err
	}
	self, err := t.self()
	if err != nil {
		return err
	}
	return t.agent.watcher.PublishTunnel(ctx, self, next.Prefix)
}

// locations is the plan as the datapath looks it up. What is in the cluster's
// range and of no known node is dropped.
func (t *tunnel) locations(p tunnelPlan) map[netip.Prefix]datapath.Location {
	kinds := map[overlay.Kind]datapath.LocationKind{
		overlay.RemotePods: datapath.RemotePods, overlay.RemoteNode: datapath.RemoteHost,
		overlay.LocalPods: datapath.LocalPods, overlay.LocalHost: datapath.LocalHost,
	}
	table := map[netip.Prefix]datapath.Location{
		t.agent.cfg.clusterCIDR: {Kind: datapath.ClusterPods},
	}
	for _, l := range p.Locations {
		table[l.Prefix] = datapath.Location{
			Kind: kinds[l.Kind], Prefix: netip.PrefixFrom(l.TunnelPrefix, 64),
		}
	}
	return table
}

// problems tells which nodes are refused, as Events on their tunnels.
func (t *tunnel) problems() []kube.Problem {
	var problems []kube.Problem
	for _, r := range t.current().Refused {
		problems = append(problems, kube.Problem{Kind: "Tunnel", Name: r.Node, Message: r.String()})
	}
	return problems
}

// status is the device as people see it; zero if it cannot be read.
func (t *tunnel) status() api.Device {
	now, err := t.device.Status()
	if err != nil {
		return api.Device{}
	}
	plan := t.current()
	d := api.Device{
		Name: now.Name, Kind: string(now.Kind), PublicKey: now.PublicKey.String(),
		ListenPort: now.ListenPort, MTU: now.MTU, PodMTU: plan.MTU.Pods,
	}
	names := map[wgtypes.Key]string{}
	for _, p := range plan.Peers {
		names[p.PublicKey] = p.Name
	}
	for _, p := range now.Peers {
		peer := api.Peer{
			Node: names[p.PublicKey], PublicKey: p.PublicKey.String(), Endpoint: p.Endpoint,
			LastHandshake: p.LastHandshake, Rx: p.Received, Tx: p.Sent,
		}
		if len(p.AllowedIPs) > 0 {
			peer.Prefix = p.AllowedIPs[0]
		}
		d.Peers = append(d.Peers, peer)
	}
	return d
}
