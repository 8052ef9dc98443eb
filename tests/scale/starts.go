package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/signet-cni/signet/tests/bench/report"
)

const (
	localPods = 110
	burst     = 100
	burstSets = 5
	// atOnce is how many pods a kubelet starts side by side.
	atOnce = 10
	// samples is how many pods are started for a percentile.
	samples = 200
)

// measureStarts starts pods on the agent's node: a burst that brings it to as
// many as a node has, and then one after the other.
func measureStarts(ctx context.Context, n *node, c *cluster) ([]report.Row, error) {
	first, err := startPods(ctx, n, localPods-burst, "first", func(int) map[string]string { return podLabels(0) })
	if err != nil {
		return nil, err
	}
	var rows []report.Row
	for _, b := range []struct {
		name   string
		labels func(int) map[string]string
	}{
		{"known", func(i int) map[string]string { return podLabels((i%burstSets + 1) * spaces) }},
		{"new", func(i int) map[string]string { return map[string]string{"burst": strconv.Itoa(i % burstSets)} }},
	} {
		more, err := measureBurst(ctx, n, b.name, b.labels)
		if err != nil {
			return rows, err
		}
		rows = append(rows, more...)
	}
	again, err := measureADD(ctx, first)
	if err != nil {
		return rows, err
	}
	rows = append(rows, again...)
	fresh, err := measureNewADD(ctx, n)
	return append(rows, fresh...), err
}

// startPods makes pods and attaches them, some at a time.
func startPods(ctx context.Context, n *node, count int, name string, labels func(int) map[string]string) ([]*pod, error) {
	pods := make([]*pod, count)
	err := each(ctx, name+" local pods: objects", 0, count, func(ctx context.Context, i int) (err error) {
		pods[i], err = n.newPod(ctx, fmt.Sprintf("%s-%d", name, i), labels(i))
		return err
	})
	if err != nil {
		return nil, err
	}
	return pods, together(pods, func(p *pod) error { _, err := p.call(ctx, "ADD"); return err })
}

// together does something with pods, atOnce at a time.
func together(pods []*pod, do func(*pod) error) error {
	errs := make(chan error, len(pods))
	limit := make(chan struct{}, atOnce)
	var running sync.WaitGroup
	for _, pod := range pods {
		limit <- struct{}{}
		running.Go(func() {
			defer func() { <-limit }()
			errs <- do(pod)
		})
	}
	running.Wait()
	for range pods {
		if err := <-errs; err != nil {
			return err
		}
	}
	return nil
}

// measureBurst counts what the agent writes when many pods start together, and
// ends them again.
func measureBurst(ctx context.Context, n *node, name string, labels func(int) map[string]string) ([]report.Row, error) {
	time.Sleep(2 * time.Second) // for writes of before
	before, err := n.cluster.writes(ctx)
	if err != nil {
		return nil, err
	}
	began := time.Now()
	pods, err := startPods(ctx, n, burst, name, labels)
	if err != nil {
		return nil, err
	}
	say("%d pods with %d %s label sets started in %.1f s", burst, burstSets, name, time.Since(began).Seconds())
	time.Sleep(2 * time.Second) // for writes of now
	after, err := n.cluster.writes(ctx)
	if err != nil {
		return nil, err
	}
	identities, others := after["identities"]-before["identities"], after["tunnels"]-before["tunnels"]
	say("writes: %d of identities, %d of the node's tunnel", identities, others)
	if want := map[string]int{"known": 0, "new": burstSets}[name]; identities < want || others == 0 {
		return nil, fmt.Errorf("%d writes of identities and %d of tunnels were counted: fewer than it takes", identities, others)
	}
	title := fmt.Sprintf("burst of %d pods, %d %s label sets: ", burst, burstSets, name)
	if err := together(pods, func(p *pod) error { _, err := p.call(ctx, "DEL"); return err }); err != nil {
		return nil, err
	}
	if name == "known" {
		return []report.Row{report.Single(title+"writes", "", float64(identities+others), report.Target{AtMost: burstSets})}, nil
	}
	return []report.Row{
		report.Single(title+"identities written", "", float64(identities), report.Target{AtMost: burstSets}),
		report.Single(title+"other writes", "", float64(others), report.Target{}),
	}, nil
}

var counted = regexp.MustCompile(`^apiserver_request_total\{.*resource="([a-z]+)",.*verb="(?:POST|PUT|PATCH|APPLY|DELETE)".*\} (\S+)$`)

// writes gives how often the API server was asked to change something, by
// resource. Of Tunnels only what agents write counts: the verifier writes status.
func (c *cluster) writes(ctx context.Context) (map[string]int, error) {
	text, err := c.core.CoreV1().RESTClient().Get().AbsPath("/metrics").DoRaw(ctx)
	if err != nil {
		return nil, err
	}
	sums := map[string]int{}
	for scan := bufio.NewScanner(bytes.NewReader(text)); scan.Scan(); {
		match := counted.FindStringSubmatch(scan.Text())
		if match == nil || strings.Contains(scan.Text(), `subresource="status"`) {
			continue
		}
		count, err := strconv.ParseFloat(match[2], 64)
		if err != nil {
			return nil, err
		}
		sums[match[1]] += int(count)
	}
	return sums, nil
}

// measureADD starts pods whose identity exists, one after the other.
func measureADD(ctx context.Context, pods []*pod) ([]report.Row, error) {
	var took, alone []float64
	for i := range samples {
		pod := pods[i%len(pods)]
		process, err := pod.call(ctx, "VERSION")
		if err != nil {
			return nil, err
		}
		alone = append(alone, process.Seconds()*1000)
		if _, err := pod.call(ctx, "DEL"); err != nil {
			return nil, err
		}
		d, err := pod.call(ctx, "ADD")
		if err != nil {
			return nil, err
		}
		took = append(took, d.Seconds()*1000)
	}
	say("ADD of pods with a known identity: %.1f ms at the median, %.1f ms p99", report.Median(took), report.Percentile(took, 99))
	rows := addRows("ADD to identity in force, it exists", took, 20)
	return append(rows, report.Single("the plugin's process alone: p99", "ms", report.Percentile(alone, 99), report.Target{})), nil
}

// measureNewADD starts pods of which each has an identity of its own.
func measureNewADD(ctx context.Context, n *node) ([]report.Row, error) {
	pods := make([]*pod, samples/2)
	err := each(ctx, "objects of pods with new labels", 0, len(pods), func(ctx context.Context, i int) (err error) {
		pods[i], err = n.newPod(ctx, fmt.Sprintf("fresh-%d", i), map[string]string{"fresh": strconv.Itoa(i)})
		return err
	})
	if err != nil {
		return nil, err
	}
	var took []float64
	for _, pod := range pods {
		d, err := pod.call(ctx, "ADD")
		if err != nil {
			return nil, err
		}
		took = append(took, d.Seconds()*1000)
	}
	say("ADD of pods with a new identity: %.1f ms at the median, %.1f ms p99", report.Median(took), report.Percentile(took, 99))
	return addRows("ADD to identity in force, it is new", took, 100), nil
}

func addRows(name string, took []float64, most float64) []report.Row {
	return []report.Row{
		report.Single(name+": median", "ms", report.Median(took), report.Target{}),
		report.Single(name+": p99", "ms", report.Percentile(took, 99), report.Target{AtMost: most}),
	}
}
