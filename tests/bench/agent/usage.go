package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/signet-cni/signet/tests/bench/report"
	"github.com/signet-cni/signet/tests/control/worker"
)

// Figures of the case agent.
const (
	usagePods   = 100             // of the node
	usageSettle = 3 * time.Second // that an agent gets before it is looked at
	usageWindow = 1500 * time.Millisecond
	// churnRate is how many pods end, and how many start, a second.
	churnRate = 20
	churned   = int(churnRate * usageWindow / time.Second) // in a window, each once
)

// usage is what an agent takes, window by window.
type usage struct {
	resident []float64 // MiB
	cpu      []float64 // milliseconds a second
}

// measureUsage measures one node's agent with nothing in the cluster, then with
// policies, with identities and with pods, at rest and under churn.
func measureUsage(ctx context.Context, o options) (rows []report.Row, err error) {
	core, err := connect()
	if err != nil {
		return nil, err
	}
	if err := errors.Join(createNode(ctx, core, 0), createSpaces(ctx, core)); err != nil {
		return nil, err
	}
	node, err := newWorker(ctx, core, o, 0)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, node.Close()) }()
	u := &usageMeter{ctx: ctx, options: o, core: core, node: node}
	return u.rows()
}

// usageMeter measures the agent of a node.
type usageMeter struct {
	options
	ctx  context.Context //nolint:containedctx // as a measure.Side has it
	core kubernetes.Interface
	node *worker.Node
	pods int // made so far
}

func (u *usageMeter) rows() ([]report.Row, error) {
	var empty, emptyChurn, withPolicies, withIdentities, full, fullChurn usage
	for _, stage := range []struct {
		name  string
		fill  func(context.Context, kubernetes.Interface) error
		looks []look
	}{
		{"nothing in the cluster", nil, []look{{u.rest, &empty}, {u.churn, &emptyChurn}}},
		{"policies", createPolicies, []look{{u.rest, &withPolicies}}},
		{"policies, identities and pods", createIdentities, []look{{u.rest, &withIdentities}, {u.crowd, &full}, {u.churn, &fullChurn}}},
	} {
		fmt.Fprintf(u.log, "agent: %s\n", stage.name)
		if err := u.stage(stage.fill, stage.looks); err != nil {
			return nil, fmt.Errorf("%s: %w", stage.name, err)
		}
	}
	rows := compareUsage("agent-rest", full, empty)
	rows = append(rows, compareUsage("agent-churn", fullChurn, emptyChurn)...)
	return append(rows,
		growth("agent-memory-per-policy", withPolicies, empty, policies),
		growth("agent-memory-per-identity", withIdentities, withPolicies, sets),
		growth("agent-memory-per-pod", full, withIdentities, usagePods)), nil
}

// look is something to look at: what is prepared for it, and then happens in
// each window.
type look struct {
	prepare func() (window func() error, err error)
	found   *usage
}

// stage starts an agent in a cluster with more in it.
func (u *usageMeter) stage(fill func(context.Context, kubernetes.Interface) error, looks []look) error {
	if fill != nil {
		if err := fill(u.ctx, u.core); err != nil {
			return err
		}
	}
	agent, _, err := u.node.StartAgent(u.ctx)
	if err != nil {
		return err
	}
	defer agent.Stop()
	for _, l := range looks {
		window, err := l.prepare()
		if err != nil {
			return err
		}
		if *l.found, err = u.look(agent, window); err != nil {
			return err
		}
	}
	return nil
}

func (u *usageMeter) rest() (func() error, error) {
	return func() error { time.Sleep(usageWindow); return nil }, nil
}

// crowd is rest with many pods on the node.
func (u *usageMeter) crowd() (func() error, error) {
	if _, err := u.attach(usagePods); err != nil {
		return nil, err
	}
	return u.rest()
}

// churn ends and starts as many pods a second as churnRate, evenly. Late ones
// follow at once.
func (u *usageMeter) churn() (func() error, error) {
	pods, err := u.attach(churned)
	if err != nil {
		return nil, err
	}
	plugin, err := u.node.Plugin()
	return func() error {
		began := time.Now()
		return each(u.ctx, len(pods), func(ctx context.Context, n int) error {
			time.Sleep(time.Until(began.Add(time.Duration(n) * time.Second / churnRate)))
			_, err := pods[n].Call(ctx, plugin, "DEL")
			if err == nil {
				_, err = pods[n].Call(ctx, plugin, "ADD")
			}
			return err
		})
	}, err
}

// look measures windows in which something happens.
func (u *usageMeter) look(agent *worker.Process, window func() error) (found usage, err error) {
	time.Sleep(usageSettle)
	for range u.effort.Rounds {
		began := time.Now()
		before, err := agent.CPU()
		if err != nil {
			return found, err
		}
		if err := window(); err != nil {
			return found, err
		}
		after, cpuErr := agent.CPU()
		resident, residentErr := agent.Resident()
		if err := errors.Join(cpuErr, residentErr); err != nil {
			return found, err
		}
		found.cpu = append(found.cpu, (after-before).Seconds()*1000/time.Since(began).Seconds())
		found.resident = append(found.resident, resident)
	}
	fmt.Fprintf(u.log, "%.4g MiB, %.4g ms a second\n", found.resident, found.cpu)
	return found, nil
}

// attach makes pods of known identities and attaches them.
func (u *usageMeter) attach(count int) ([]*worker.Sandbox, error) {
	plugin, err := u.node.Plugin()
	if err != nil {
		return nil, err
	}
	pods := make([]*worker.Sandbox, count)
	first := u.pods
	u.pods += count
	return pods, each(u.ctx, count, func(ctx context.Context, n int) (err error) {
		set := someSet(first + n)
		pods[n], err = u.node.NewSandbox(ctx, &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Namespace: set.Namespace, Name: fmt.Sprint("pod-", first+n), Labels: set.PodLabels},
			Spec: corev1.PodSpec{
				NodeName: nodeName(0), Containers: []corev1.Container{{Name: "main", Image: "registry.test/main:1"}},
			},
		})
		if err == nil {
			_, err = pods[n].Call(ctx, plugin, "ADD")
		}
		return err
	})
}

func compareUsage(name string, full, empty usage) []report.Row {
	pair := func(what, unit string, figures, baselines []float64) report.Row {
		var pairs []report.Pair
		for n := range figures {
			pairs = append(pairs, report.Pair{Figure: figures[n], Baseline: baselines[n]})
		}
		return report.Of(name+"-"+what, "the same agent in an empty cluster, before", unit, report.Target{}, pairs)
	}
	return []report.Row{
		pair("memory", "MiB", full.resident, empty.resident), pair("cpu", "ms/s", full.cpu, empty.cpu),
	}
}

// growth is what each of so many more takes.
func growth(name string, more, less usage, count int) report.Row {
	kibibytes := (report.Median(more.resident) - report.Median(less.resident)) * 1024 / float64(count)
	return report.Single(name, "KiB", kibibytes, report.Target{})
}
