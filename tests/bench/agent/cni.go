package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"time"

	"github.com/signet-cni/signet/tests/bench/measure"
	"github.com/signet-cni/signet/tests/bench/report"
	"github.com/signet-cni/signet/tests/control/worker"
)

const (
	attachments = 50 // pods that a sample attaches and detaches
	// oneRounds and allRounds are as many times the rounds of other cases: of one
	// pod at a time, and of all at once, where samples vary more.
	oneRounds = 2
	allRounds = 6
)

// measureCNI compares ADD and DEL, of one pod at a time and of all at once, with
// the reference plugins ptp and host-local, in the same network namespaces.
// The pods' identity is known, as that of every replica but the first.
func measureCNI(ctx context.Context, o options) (rows []report.Row, err error) {
	c, err := newCluster(ctx, o)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	agent, _, err := c.StartAgent(ctx)
	if err != nil {
		return nil, err
	}
	defer agent.Stop()
	sides, err := newSides(ctx, c, o)
	if err != nil {
		return nil, err
	}
	if err := sides.warmUp(); err != nil {
		return nil, err
	}
	for _, at := range []struct{ width, rounds int }{{1, oneRounds}, {attachments, allRounds}} {
		more, err := measure.Comparison{
			Metrics: cniMetrics(at.width), Against: "ptp with host-local", Effort: o.effort.Times(at.rounds),
			Signet: sides.cycle(sides.signet, at.width), Base: sides.cycle(sides.reference, at.width),
		}.Run(o.log)
		rows = append(rows, more...)
		if err != nil {
			return rows, err
		}
	}
	return rows, nil
}

// cniMetrics are the values of a cycle.
func cniMetrics(width int) (metrics []measure.Metric) {
	for _, name := range []string{"add-p50", "add-p99", "del-p50", "del-p99"} {
		if width > 1 {
			name = fmt.Sprintf("%s-%d-at-once", name, width)
		}
		metrics = append(metrics, measure.Metric{Name: "cni-" + name, Unit: "ms", Target: report.Target{AtMost: 1}})
	}
	return metrics
}

// cniSides are pods that one or the other plugin attaches.
type cniSides struct {
	ctx               context.Context //nolint:containedctx // a measure.Side takes none
	pods              []*worker.Sandbox
	signet, reference worker.Plugin
}

func newSides(ctx context.Context, c *cluster, o options) (*cniSides, error) {
	s := &cniSides{ctx: ctx}
	for i := range attachments {
		pod, err := c.newPod(ctx, fmt.Sprintf("pod-%d", i))
		if err != nil {
			return nil, err
		}
		s.pods = append(s.pods, pod)
	}
	var err error
	if s.signet, err = c.Plugin(); err != nil {
		return nil, err
	}
	s.reference = worker.Plugin{Command: filepath.Join(o.plugins, "ptp")}
	s.reference.Conf, err = json.Marshal(map[string]any{
		"cniVersion": "1.0.0", "name": "reference", "type": "ptp", "mtu": 1400,
		"ipam": map[string]any{
			"type": "host-local", "dataDir": c.Path("reference"), "subnet": "10.2.0.0/24",
			"routes": []map[string]string{{"dst": "0.0.0.0/0"}},
		},
	})
	return s, err
}

// warmUp makes the pods' identity known.
func (s *cniSides) warmUp() error {
	for _, plugin := range []worker.Plugin{s.signet, s.reference} {
		if _, err := s.cycle(plugin, 1)(); err != nil {
			return err
		}
	}
	return nil
}

// cycle adds all pods, then deletes them, so many at once.
func (s *cniSides) cycle(plugin worker.Plugin, width int) measure.Side {
	return func() (sample measure.Sample, err error) {
		for _, command := range []string{"ADD", "DEL"} {
			took, err := s.each(plugin, command, width)
			if err != nil {
				return sample, err
			}
			sample.Values = append(sample.Values, report.Median(took), report.Percentile(took, 99))
		}
		return sample, nil
	}
}

// each calls a plugin for every pod, and gives the milliseconds that each took.
func (s *cniSides) each(plugin worker.Plugin, command string, width int) ([]float64, error) {
	took, errs := make([]float64, len(s.pods)), make([]error, len(s.pods))
	limit := make(chan struct{}, width)
	var running sync.WaitGroup
	for i, pod := range s.pods {
		limit <- struct{}{}
		running.Go(func() {
			defer func() { <-limit }()
			var d time.Duration
			d, errs[i] = pod.Call(s.ctx, plugin, command)
			took[i] = d.Seconds() * 1000
		})
	}
	running.Wait()
	return took, errors.Join(errs...)
}
