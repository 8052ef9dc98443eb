package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/cilium/ebpf"

	"github.com/signet-cni/signet/tests/bench/report"
)

const (
	startPoll = time.Millisecond
	startTime = time.Minute // most that an agent may take
)

// measureStart starts the agent of a node that has just booted, again and again,
// until it enforces the cluster's policies, and until it takes pods.
func measureStart(ctx context.Context, o options) (rows []report.Row, err error) {
	c, err := newCluster(ctx, o)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	var enforced, ready []float64
	for n := range o.effort.Rounds {
		first, took, err := c.startOnce(ctx)
		if err != nil {
			return nil, err
		}
		enforced, ready = append(enforced, first.Seconds()), append(ready, took.Seconds())
		fmt.Fprintf(o.log, "start %d of %d: %.3f s to the first policy, %.3f s until pods are taken\n", n+1, o.effort.Rounds, enforced[n], ready[n])
	}
	return []report.Row{
		report.Single("start-to-policy", "s", report.Median(enforced), report.Target{}),
		report.Single("start-to-pods", "s", report.Median(ready), report.Target{}),
	}, nil
}

// startOnce starts the agent and stops it, and gives how long it took until the
// kernel had a policy, and until pods were taken.
func (c *cluster) startOnce(ctx context.Context) (first, ready time.Duration, err error) {
	if err := os.RemoveAll(c.Path("bpf/signet")); err != nil { // what an earlier one left enforces a policy too
		return 0, 0, err
	}
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	began, done := time.Now(), make(chan error, 1)
	go func() {
		var err error
		first, err = c.awaitPolicy(ctx, began)
		done <- err
	}()
	agent, ready, err := c.StartAgent(ctx)
	if err != nil {
		cancel()
		return 0, 0, errors.Join(err, <-done)
	}
	defer agent.Stop()
	err = <-done
	return first, ready, err
}

// awaitPolicy gives how long it takes until the kernel's revision of the policy,
// 0 while nothing is loaded and nothing passes, is another one.
func (c *cluster) awaitPolicy(ctx context.Context, since time.Time) (time.Duration, error) {
	for ; ctx.Err() == nil; time.Sleep(startPoll) {
		pins, err := filepath.Glob(c.Path("bpf/signet/maps-*/policy_state"))
		if err != nil || len(pins) != 1 {
			continue
		}
		state, err := ebpf.LoadPinnedMap(pins[0], &ebpf.LoadPinOptions{ReadOnly: true})
		if err != nil {
			continue // it is not pinned yet
		}
		value, err := state.LookupBytes(uint32(0))
		_ = state.Close() // it was only read
		if err == nil && len(value) >= 4 && binary.NativeEndian.Uint32(value) != 0 {
			return time.Since(since), nil
		}
	}
	return 0, fmt.Errorf("no policy is enforced after %v: %w", time.Since(since), ctx.Err())
}
