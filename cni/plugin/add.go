package plugin

import (
	"context"
	"errors"
	"fmt"
	"net"

	"github.com/containernetworking/cni/pkg/skel"
	"github.com/containernetworking/cni/pkg/types"
	current "github.com/containernetworking/cni/pkg/types/100"
	"github.com/containernetworking/plugins/pkg/ns"

	"github.com/signet-cni/signet/cni/internal/pair"
	"github.com/signet-cni/signet/cni/internal/wire"
)

// attachment is one ADD, validated.
type attachment struct {
	agent   *client
	key     wire.Key
	request wire.AllocateRequest
	netns   ns.NetNS
}

func add(args *skel.CmdArgs) error {
	conf, agent, err := newClient(args)
	if err != nil {
		return err
	}
	key, err := keyOf(args)
	if err != nil {
		return err
	}
	if len(conf.PrevResult) > 0 {
		return types.NewError(types.ErrInvalidNetworkConfig, "signet must be the first plugin of the network configuration", "")
	}
	pod, err := parsePod(args.Args)
	if err != nil {
		return err
	}
	netns, err := openNetNS(args.Netns)
	if err != nil {
		return err
	}
	defer func() { _ = netns.Close() }() // a file descriptor of this process
	a := attachment{agent: agent, key: key, netns: netns, request: wire.AllocateRequest{
		Namespace: string(pod.K8S_POD_NAMESPACE), Pod: string(pod.K8S_POD_NAME), PodUID: string(pod.K8S_POD_UID),
		Shaped: conf.RuntimeConfig.Bandwidth.limited(),
	}}

	// ---- From here on the system is touched.

	lease, err := a.add(context.Background())
	if err != nil {
		return cniError(err)
	}
	return types.PrintResult(a.result(lease), conf.CNIVersion)
}

// add attaches the pod, or finds it attached by an earlier ADD. If it fails,
// nothing of what it made is left.
func (a attachment) add(ctx context.Context) (wire.Lease, error) {
	lease, err := a.agent.allocate(ctx, a.key, a.request)
	if err != nil {
		return lease, err
	}
	if lease.Attached {
		if pair.VerifyPod(a.plan(lease), a.netns) == nil {
			return lease, a.connect(ctx, lease, lease.HostIfIndex)
		}
		if err := remove(ctx, a.agent, a.key); err != nil {
			return lease, fmt.Errorf("remove a damaged attachment: %w", err)
		}
		if lease, err = a.agent.allocate(ctx, a.key, a.request); err != nil {
			return lease, err
		}
	}
	if err := a.build(ctx, lease); err != nil {
		if undo := remove(ctx, a.agent, a.key); undo != nil {
			return lease, withUndo(err, undo)
		}
		return lease, err
	}
	return lease, nil
}

// withUndo adds to err, and keeps its CNI code, that the clean-up failed too.
func withUndo(err, undo error) error {
	code := types.ErrInternal
	var e *types.Error
	if errors.As(err, &e) {
		code = e.Code
	}
	return types.NewError(code, err.Error(), "roll back: "+undo.Error())
}

// build makes the interface pair of a fresh lease and connects it.
func (a attachment) build(ctx context.Context, lease wire.Lease) error {
	index, err := pair.Create(a.plan(lease), a.netns)
	if err != nil {
		return err
	}
	return a.connect(ctx, lease, index)
}

// connect lets the host's end up only after the agent has attached the hooks:
// before, a packet of the pod would pass unjudged.
func (a attachment) connect(ctx context.Context, lease wire.Lease, index int) error {
	plan := a.plan(lease)
	err := a.agent.attach(ctx, a.key, wire.AttachRequest{
		HostIfIndex: index, HostMAC: plan.HostMAC.String(), PodMAC: plan.PodMAC.String(),
	})
	if err != nil {
		return err
	}
	return pair.Open(plan, index, a.netns)
}

func (a attachment) plan(lease wire.Lease) pair.Plan { return planOf(a.key, lease) }

func planOf(key wire.Key, lease wire.Lease) pair.Plan {
	plan := pair.Plan{
		HostName: key.HostIfName(), PodName: key.IfName,
		HostMAC: key.HostMAC(), PodMAC: key.PodMAC(), MTU: lease.MTU, Netkit: lease.Netkit,
	}
	for _, a := range lease.Addresses {
		plan.Addresses = append(plan.Addresses, pair.Address(a))
	}
	return plan
}

// remove undoes an ADD, whatever is left of it. The agent does it, the interface
// pair before the address is free for others. Where it does not, the pair goes
// all the same.
func remove(ctx context.Context, agent *client, key wire.Key) error {
	err := agent.remove(ctx, key)
	if err == nil {
		return nil
	}
	if left := pair.Delete(key.HostIfName()); left != nil {
		return left
	}
	return err
}

func (a attachment) result(lease wire.Lease) *current.Result {
	plan := a.plan(lease)
	podInterface := 1 // index in Interfaces
	result := &current.Result{
		Interfaces: []*current.Interface{
			{Name: plan.HostName, Mac: plan.HostMAC.String(), Mtu: plan.MTU},
			{Name: plan.PodName, Mac: plan.PodMAC.String(), Mtu: plan.MTU, Sandbox: a.netns.Path()},
		},
	}
	for _, a := range lease.Addresses {
		bits := a.Addr.BitLen()
		result.IPs = append(result.IPs, &current.IPConfig{
			Interface: &podInterface,
			Address:   net.IPNet{IP: a.Addr.AsSlice(), Mask: net.CIDRMask(bits, bits)},
			Gateway:   a.Gateway.AsSlice(),
		})
		result.Routes = append(result.Routes, &types.Route{
			Dst: net.IPNet{IP: make(net.IP, bits/8), Mask: net.CIDRMask(0, bits)},
			GW:  a.Gateway.AsSlice(),
		})
	}
	return result
}
