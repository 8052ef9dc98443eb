package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/signet-cni/signet/cni"
	"github.com/signet-cni/signet/enforce/datapath"
	"github.com/signet-cni/signet/internal/guard"
)

// network answers the plugin's side for the rest of the agent (cni.Network).
type network struct{ *agent }

// Ready refuses new pods until everything that judges them is in force.
func (n network) Ready() error { return n.loops.failing() }

// Connect attaches the hooks first: from then on the pod's packets are
// dropped until its identity and its policy are in the kernel.
func (n network) Connect(ctx context.Context, ep cni.Endpoint) error {
	if err := n.datapath.AttachPod(deviceOf(ep)); err != nil {
		return err
	}
	return n.rules.connect(ctx, ep)
}

func deviceOf(ep cni.Endpoint) datapath.PodDevice {
	return datapath.PodDevice{IfIndex: ep.HostIfIndex, Shaped: ep.Shaped, Netkit: ep.Netkit}
}

// Silence leaves the hooks in place: they drop what an unknown pod sends.
func (n network) Silence(_ context.Context, ep cni.Endpoint) error { return n.rules.disconnect(ep) }

// Disconnect takes back what Connect did.
func (n network) Disconnect(_ context.Context, ep cni.Endpoint) error {
	return errors.Join(n.rules.disconnect(ep), n.datapath.Detach(ep.HostIfIndex))
}

// Check compares the kernel with the endpoint.
func (n network) Check(_ context.Context, ep cni.Endpoint) error {
	inForce := n.datapath.Endpoints()
	for _, addr := range ep.Addrs() {
		known, ok := inForce[addr]
		if !ok {
			return fmt.Errorf("the kernel has no endpoint %s", addr)
		}
		if known.IfIndex != ep.HostIfIndex {
			return fmt.Errorf("the kernel has endpoint %s at interface %d, want %d", addr, known.IfIndex, ep.HostIfIndex)
		}
	}
	return nil
}

// hostPlugin is where the host has the CNI plugin.
const hostPlugin = "/opt/cni/bin/signet"

// setGuard writes the nftables rules that hold where no program does, and has
// the node write them when it boots.
func (a *agent) setGuard() error {
	rules := guard.Config{
		Pods:    a.cfg.clusterCIDR.List(),
		Covered: guard.Devices(cni.HostIfPrefix),
		Ports:   guard.Ports(a.cfg.port),
		Tunnel:  a.cfg.cluster.Range(),
	}
	if err := guard.Set(rules); err != nil || a.cfg.units == "" {
		return err
	}
	return guard.InstallUnit(a.cfg.units, hostPlugin, rules)
}
