package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/signet-cni/signet/enforce/datapath"
	"github.com/signet-cni/signet/internal/kube"
	"github.com/signet-cni/signet/internal/locations"
	"github.com/signet-cni/signet/overlay"
	"github.com/signet-cni/signet/overlay/device"
	"github.com/signet-cni/signet/overlay/plan"
	overlaytunnel "github.com/signet-cni/signet/overlay/tunnel"
)

// restoreTime bounds the wait for a device that is made anew.
const restoreTime = 10 * time.Second

// tunnel keeps the WireGuard devices, the routes and the datapath's table of
// nodes in line with what the nodes publish.
type tunnel struct {
	agent         *agent
	keys          *overlaytunnel.Keys
	first, second *device.Device
	core          *overlaytunnel.Tunnel // nil until drive
	lately        locations.Memory      // of sync

	mu   sync.Mutex
	last tunnelPlan
}

// tunnelPlan is a plan, and what it was made for.
type tunnelPlan struct {
	plan.Result
	noIPv6   string // why this node's IPv6 pod range is not used; "": it is, or there is none
	underlay device.Underlay
}

func newTunnel(a *agent) (*tunnel, error) {
	keys, created, err := overlaytunnel.LoadKeys(a.cfg.keyPath)
	if err != nil {
		return nil, err
	}
	public, _, made := keys.Public()
	a.log.Info("WireGuard key", "public", public.String(), "created", created, "made", made)
	return &tunnel{agent: a, keys: keys}, nil
}

// prefixOf derives the tunnel prefix of any node from what it publishes.
func (a *agent) prefixOf(n overlay.Node) (netip.Prefix, error) {
	for _, cidr := range n.PodCIDRs {
		if cidr.Addr().Is4() {
			return overlay.Prefix(a.cfg.cluster, cidr)
		}
	}
	return netip.Prefix{}, fmt.Errorf("node %s has no IPv4 pod range", n.Name)
}

// open makes the devices. Its plan is for what depends on this node alone.
func (t *tunnel) open(ctx context.Context) error {
	result, err := t.compute()
	if err != nil {
		return err
	}
	wait, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	t.first, t.second, err = overlaytunnel.Open(wait, result.MTU.Device, t.agent.cfg.port)
	if err != nil {
		return err
	}
	t.agent.log.Info("WireGuard devices", "first", t.first.Name(), "second", t.second.Name(),
		"kind", string(t.first.Kind()), "mtu", result.MTU.Device)
	return nil
}

// drive takes the devices over, with the datapath to steer between them.
func (t *tunnel) drive(dp *datapath.Datapath) {
	t.core = overlaytunnel.New(overlaytunnel.Config{
		Keys: t.keys, First: t.first, Second: t.second, Port: t.agent.cfg.port,
		Steering: dp, Changed: t.agent.loops.tunnel.Poke, Log: t.agent.log, Now: time.Now,
	})
}

// inherit takes over what an earlier agent has left in force: which nodes are
// peers, whatever others claim by now, and which addresses are not the world's.
func (t *tunnel) inherit() error {
	first, second, err := t.core.Status()
	if err != nil {
		return err
	}
	var peers []overlay.Peer
	for _, p := range slices.Concat(first.Peers, second.Peers) {
		peers = append(peers, overlay.Peer{PublicKey: p.PublicKey, Endpoint: p.Endpoint, AllowedIPs: p.AllowedIPs})
	}
	table := t.agent.datapath.Locations()
	t.lately.Resume(table, time.Now())
	nodes, _ := t.agent.watcher.Nodes()
	accepted := plan.Inherit(nodes, t.agent.planConfig(), plan.InForce{Peers: peers, Holders: locations.Holders(table)})
	t.mu.Lock()
	defer t.mu.Unlock()
	t.last.Accepted = accepted
	return nil
}

// indexes are those of both devices; they stay while the agent runs.
func (t *tunnel) indexes() []int { return []int{t.first.Index(), t.second.Index()} }

// self is this node as it publishes itself, but for what plan.Trim takes away.
func (t *tunnel) self() (overlay.Node, error) {
	node, _, known := t.agent.watcher.Node()
	if !known {
		return overlay.Node{}, fmt.Errorf("the API server has no node %q: check --node-name", t.agent.cfg.nodeName)
	}
	first, second, made := t.keys.Public()
	self := overlay.Node{
		Name: node.Name, PublicKey: first, Keyed: made.UTC().Truncate(time.Second),
		Detour:   overlay.Detour{PublicKey: second, Active: t.core != nil && t.core.PrefersDetour()},
		PodCIDRs: node.PodCIDRs, Addresses: ownAddresses(node.InternalIPs),
	}
	if !slices.ContainsFunc(self.PodCIDRs, func(p netip.Prefix) bool { return p.Addr().Is4() }) {
		return self, fmt.Errorf("node %s has no IPv4 podCIDR: start the controller manager with --allocate-node-cidrs and --cluster-cidr", node.Name)
	}
	if len(self.Addresses) == 0 {
		return self, fmt.Errorf("node %s has no InternalIP: set the kubelet's --node-ip", node.Name)
	}
	self.Endpoint = netip.AddrPortFrom(self.Addresses[0], t.agent.cfg.port)
	if node.Wishes.Endpoint.IsValid() {
		self.Endpoint = node.Wishes.Endpoint
	}
	return self, nil
}

// wishes are what the Node's annotations ask of its tunnel.
func (t *tunnel) wishes() kube.TunnelWishes {
	node, _, _ := t.agent.watcher.Node()
	return node.Wishes
}

// underlay finds it, narrowed by the configuration and the Node's annotation.
func (t *tunnel) underlay(address netip.Addr) (device.Underlay, error) {
	u, err := device.FindUnderlay(address, endpoints(t.current().Peers), overlay.DefaultDevice, overlay.DetourDevice)
	for _, limit := range []int{t.agent.cfg.settings.current().mtu, t.wishes().MTU} {
		if limit > 0 && limit < u.MTU {
			u.MTU = limit
		}
	}
	return u, err
}

// ownAddresses picks those that others can reach, of IPv6 as many as the tunnel
// has numbers for.
func ownAddresses(list []netip.Addr) []netip.Addr {
	var own []netip.Addr
	numbered := 0
	for _, a := range list {
		if a.IsLinkLocalUnicast() || a.Is6() && numbered == overlay.MaxHostNumber {
			continue
		}
		if a.Is6() {
			numbered++
		}
		own = append(own, a)
	}
	return own
}

// planConfig is what of a plan's configuration is the cluster's.
func (a *agent) planConfig() plan.Config {
	return plan.Config{Cluster: a.cfg.cluster, ClusterCIDR: a.cfg.clusterCIDR, ServiceCIDR: a.cfg.serviceCIDR}
}

// compute plans from what is published now, and remembers the plan.
func (t *tunnel) compute() (tunnelPlan, error) {
	self, err := t.self()
	if err != nil {
		return tunnelPlan{}, err
	}
	before := t.current()
	underlay, err := t.underlay(self.Addresses[0])
	if err != nil {
		return tunnelPlan{}, err
	}
	nodes, _ := t.agent.watcher.Nodes()
	cfg := t.agent.planConfig()
	cfg.UnderlayMTU, cfg.Accepted, cfg.Joining = underlay.MTU, before.Accepted, t.agent.watcher.Joining()
	next := tunnelPlan{underlay: underlay}
	self, next.noIPv6 = plan.Trim(self, cfg)
	if next.Result, err = plan.Compute(self, nodes, cfg); err != nil {
		return tunnelPlan{}, err
	}
	for i := range next.Peers {
		next.Peers[i].Keepalive = t.wishes().Keepalive
	}
	if next.noIPv6 == "" && next.Pods.V6.IsValid() && !next.Address6.IsValid() {
		next.noIPv6 = fmt.Sprintf("the underlay's MTU of %d bytes has no room for IPv6; new pods get no IPv6 address", underlay.MTU)
	}
	if before.Prefix.IsValid() && before.Pods != next.Pods {
		t.agent.restart(fmt.Errorf("this node's pod range has changed from %v to %v", before.Pods.List(), next.Pods.List()))
		return before, errors.New("this node's pod range has changed: the agent starts anew")
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.last = next
	return next, nil
}

func endpoints(peers []overlay.Peer) []netip.Addr {
	addrs := make([]netip.Addr, 0, len(peers))
	for _, p := range peers {
		addrs = append(addrs, p.Endpoint.Addr())
	}
	return addrs
}

// current is the last plan.
func (t *tunnel) current() tunnelPlan {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.last
}

// sync puts a new plan in force. The datapath learns of nodes after the
// devices have them as peers, so what it sends there is never refused for lack
// of a key; it forgets them before.
func (t *tunnel) sync(ctx context.Context) error {
	next, err := t.compute()
	if err != nil {
		return err
	}
	if err := t.apply(ctx, next); err != nil {
		return err
	}
	table := locations.Of(next.Result)
	t.lately.Close(table, time.Now())
	if _, err := t.agent.datapath.SetLocations(table); err != nil {
		return err
	}
	self, err := t.self() // the devices' keys may be others by now
	if err != nil {
		return err
	}
	self, _ = plan.Trim(self, t.agent.planConfig())
	return t.agent.watcher.PublishTunnel(ctx, self, next.Prefix)
}

// apply configures the devices, and makes them anew if they are gone.
func (t *tunnel) apply(ctx context.Context, next tunnelPlan) error {
	want := overlaytunnel.Wanted{MTU: next.MTU.Device, Address: next.Address, Address6: next.Address6, Peers: next.Peers, Routes: next.Routes}
	changes, err := t.core.Apply(want)
	if errors.Is(err, device.ErrNoDevice) {
		t.agent.log.Warn("a WireGuard device was removed; making it anew", "error", err)
		if err := t.restore(ctx); err != nil {
			return err
		}
		changes, err = t.core.Apply(want)
	}
	if !changes.Empty() {
		t.agent.log.Info("tunnel changed", "added", len(changes.Added), "updated", len(changes.Updated),
			"removed", len(changes.Removed), "system", changes.System)
	}
	return err
}

// restore makes removed devices anew; their hooks went with them.
func (t *tunnel) restore(ctx context.Context) error {
	wait, cancel := context.WithTimeout(ctx, restoreTime)
	defer cancel()
	err := t.core.Restore(wait)
	if errors.Is(err, device.ErrOtherIndex) {
		t.agent.restart(err)
	}
	t.agent.loops.hooks.Poke()
	return err
}

// problems tells which nodes are refused, as Events on their tunnels, and what
// of this node is not used, as one on the node.
func (t *tunnel) problems(node kube.Node) []kube.Problem {
	var problems []kube.Problem
	plan := t.current()
	for _, r := range plan.Refused {
		problems = append(problems, kube.Problem{Kind: "Tunnel", Name: r.Node, Message: r.String()})
	}
	if plan.noIPv6 != "" {
		problems = append(problems, kube.Problem{Kind: "Node", Name: node.Name, UID: node.UID, Message: plan.noIPv6})
	}
	return problems
}

// watched names the devices whose changes concern the tunnel.
func (t *tunnel) watched() []string {
	return append([]string{overlay.DefaultDevice, overlay.DetourDevice}, t.current().underlay.Devices...)
}
