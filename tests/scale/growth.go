package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/signet-cni/signet/internal/kube/api"
	"github.com/signet-cni/signet/tests/bench/report"
	"github.com/signet-cni/signet/tests/control/worker"
)

// starts is how often the agent is started in each stage; the medians count.
const starts = 3

// What a started agent needs for its start is given back, and then what it takes
// stays the same. It is looked at when it has done so within settled, for
// settleTime, and after settleMost at the latest.
const (
	settled    = 0.01
	settleTime = 3 * time.Second
	settleMost = 15 * time.Second
)

// usage is what one agent takes in one stage.
type usage struct {
	size
	resident, maps, start []float64 // MiB, MiB, seconds
	verifier              float64   // MiB
	wireGuard             float64   // MiB, of signet-wg; 0: the kernel's
	verified              time.Duration
}

func (n *node) measureAgent(ctx context.Context, stage size) (usage, error) {
	u := usage{size: stage}
	for range starts {
		agent, took, err := n.StartAgent(ctx)
		if err != nil {
			return u, err
		}
		resident, err := settle(agent)
		maps, mapsErr := agent.Maps()
		agent.Stop()
		if err := errors.Join(err, mapsErr); err != nil {
			return u, fmt.Errorf("measure the agent: %w", err)
		}
		u.resident, u.maps = append(u.resident, resident), append(u.maps, maps)
		u.start = append(u.start, took.Seconds())
		say("agent ready after %.2f s, %.0f MiB resident, %.1f MiB of maps", took.Seconds(), resident, maps)
	}
	var err error
	if u.verifier, err = n.verifier.Resident(); err != nil {
		return u, err
	}
	if !n.WireGuard().Ended() {
		u.wireGuard, err = n.WireGuard().Resident()
	}
	return u, err
}

// settle gives an agent's resident memory in MiB once it stays the same.
func settle(agent *worker.Process) (float64, error) {
	began := time.Now()
	var last float64
	for since := began; time.Since(since) < settleTime && time.Since(began) < settleMost; time.Sleep(settleTime / 10) {
		now, err := agent.Resident()
		if err != nil {
			return 0, err
		}
		if math.Abs(now-last) > settled*last {
			since, last = time.Now(), now
		}
	}
	return last, nil
}

// verified waits until the verifier has found all that the nodes list, and
// gives how long that took.
func (n *node) verified(ctx context.Context, c *cluster) (time.Duration, error) {
	began := time.Now()
	for {
		tunnels, err := c.custom.Resource(api.Tunnels).List(ctx, metav1.ListOptions{ResourceVersion: "0"})
		if err != nil {
			return 0, err
		}
		left := slices.IndexFunc(tunnels.Items, func(t unstructured.Unstructured) bool { return !isVerified(t) })
		if left < 0 {
			took := time.Since(began)
			say("all nodes verified %.1f s after the last of them was filled", took.Seconds())
			return took, nil
		}
		if n.verifier.Ended() {
			return 0, fmt.Errorf("the verifier has ended: %s", n.verifier.Said())
		}
		select {
		case <-ctx.Done():
			return 0, fmt.Errorf("node %s is not verified: %w: %s", tunnels.Items[left].GetName(), ctx.Err(), n.verifier.Said())
		case <-time.After(time.Second):
		}
	}
}

func isVerified(t unstructured.Unstructured) bool {
	listed, _, _ := unstructured.NestedSlice(t.Object, "spec", "identities")
	found, _, _ := unstructured.NestedSlice(t.Object, "status", "identities")
	return slices.Equal(listed, found)
}

// growth compares the stages: few of everything, ten times the pods, and ten
// times the identities.
func growth(found []usage) []report.Row {
	few, pods, full := found[0], found[1], found[2]
	measures := []struct {
		what, unit string
		of         func(usage) []float64
	}{
		{"resident memory", "MiB", func(u usage) []float64 { return u.resident }},
		{"map memory", "MiB", func(u usage) []float64 { return u.maps }},
		{"start-up", "s", func(u usage) []float64 { return u.start }},
	}
	var rows []report.Row
	for _, m := range measures {
		rows = append(rows, report.Single("agent: "+m.what, m.unit, report.Median(m.of(full)), report.Target{}))
	}
	for _, m := range measures {
		rows = append(rows, ratio("pods x10, equal identities: "+m.what, m.unit, m.of(pods), m.of(few), few.size, notAtAll))
	}
	for _, m := range measures {
		rows = append(rows, ratio("identities x10: "+m.what, m.unit, m.of(full), m.of(pods), pods.size, linear))
	}
	rows = append(rows,
		report.Single("verifier: resident memory", "MiB", full.verifier, report.Target{}),
		report.Single("verifier: every node after pods x10", "s", pods.verified.Seconds(), report.Target{}))
	if full.wireGuard > 0 {
		rows = append(rows, report.Single("signet-wg: resident memory", "MiB", full.wireGuard, report.Target{}))
	}
	return rows
}

// Growth that counts as none, and that of ten times as much.
var (
	notAtAll = report.Target{AtMost: 1.1}
	linear   = report.Target{AtMost: 10}
)

func ratio(name, unit string, figures, baselines []float64, against size, target report.Target) report.Row {
	var pairs []report.Pair
	for n := range figures {
		pairs = append(pairs, report.Pair{Figure: figures[n], Baseline: baselines[n]})
	}
	return report.Of(name, against.String(), unit, target, pairs)
}
