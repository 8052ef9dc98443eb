package main

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/signet-cni/signet/cni"
	"github.com/signet-cni/signet/enforce/datapath"
	"github.com/signet-cni/signet/internal/reconcile"
)

// syncHooks attaches the programs once their maps hold everything: those of
// an earlier agent judge until then. Afterwards it puts back what somebody
// else detached.
func (l *loops) syncHooks(context.Context) error {
	for _, needed := range []*reconcile.Loop{l.tunnel, l.rules, l.services} {
		if needed.Stats().Success.IsZero() {
			return errors.New("waiting for tunnel, policy and services")
		}
	}
	dp := l.agent.datapath
	var errs []error
	for _, index := range l.agent.tunnel.indexes() {
		errs = append(errs, dp.AttachOverlay(index))
	}
	errs = append(errs, attachPods(l.agent.pods.Endpoints(), dp.AttachPod))
	if err := errors.Join(errs...); err != nil {
		return err
	}
	return errors.Join(dp.DetachStale(l.interfaces), dp.DropOtherLayouts())
}

// attachPods passes over devices that have gone since the endpoints were listed:
// their pods are being deleted, and there is nothing left to guard.
func attachPods(endpoints []cni.Endpoint, attach func(datapath.PodDevice) error) error {
	var errs []error
	for _, ep := range endpoints {
		err := attach(deviceOf(ep))
		if err != nil && !errors.Is(err, unix.ENODEV) {
			errs = append(errs, fmt.Errorf("pod %s/%s: %w", ep.Namespace, ep.Pod, err))
		}
	}
	return errors.Join(errs...)
}

// interfaces are those that must keep their programs.
func (l *loops) interfaces() map[int]bool {
	keep := map[int]bool{}
	for _, index := range l.agent.tunnel.indexes() {
		keep[index] = true
	}
	for _, ep := range l.agent.pods.Endpoints() {
		keep[ep.HostIfIndex] = true
	}
	return keep
}
