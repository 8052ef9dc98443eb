package main

import (
	"context"
	"fmt"
	"path/filepath"
	"strconv"
	"time"

	"github.com/cilium/ebpf"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"

	"github.com/signet-cni/signet/identity"
	"github.com/signet-cni/signet/internal/kube/api"
	"github.com/signet-cni/signet/tests/bench/report"
)

const (
	newSets = 200
	// spreadPause is between two new sets: each is to find everything idle.
	spreadPause = 50 * time.Millisecond
	// spreadPoll is how often the kernel's table is looked at.
	spreadPoll = 200 * time.Microsecond
	spreadTime = 10 * time.Second // most that one may take
)

// bareWatch is nothing but client-go's informer over Identities: as soon as
// anybody can learn of one.
type bareWatch struct{ seen chan string }

func newBareWatch(ctx context.Context, c *cluster) (*bareWatch, error) {
	objects := c.custom.Resource(api.Identities)
	from := &cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
			return objects.List(ctx, options)
		},
		WatchFuncWithContext: func(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
			return objects.Watch(ctx, options)
		},
	}
	informer := cache.NewSharedIndexInformer(from, &unstructured.Unstructured{}, 0, cache.Indexers{})
	b := &bareWatch{seen: make(chan string, 1000)}
	handle, err := informer.AddEventHandler(cache.ResourceEventHandlerDetailedFuncs{
		AddFunc: func(object any, initial bool) {
			if o, ok := object.(*unstructured.Unstructured); ok && !initial {
				b.seen <- o.GetName()
			}
		},
	})
	if err != nil {
		return nil, err
	}
	go informer.RunWithContext(ctx)
	if !cache.WaitForCacheSync(ctx.Done(), handle.HasSynced) {
		return nil, ctx.Err()
	}
	return b, nil
}

// await gives when the watch had the object of that name.
func (b *bareWatch) await(ctx context.Context, name string) (time.Time, error) {
	for {
		select {
		case got := <-b.seen:
			if got == name {
				return time.Now(), nil
			}
		case <-ctx.Done():
			return time.Time{}, fmt.Errorf("the watch did not see identity %s: %w", name, ctx.Err())
		}
	}
}

// awaitKernel gives when the kernel can judge packets of an identity: it has
// rows of it.
func awaitKernel(ctx context.Context, table *ebpf.Map, id identity.ID) (time.Time, error) {
	for {
		for side := range uint32(2) {
			value, err := table.LookupBytes([2]uint32{uint32(id), side})
			if err != nil {
				return time.Time{}, err
			}
			if value != nil {
				return time.Now(), nil
			}
		}
		if ctx.Err() != nil {
			return time.Time{}, fmt.Errorf("the kernel does not know identity %s: %w", id, ctx.Err())
		}
		time.Sleep(spreadPoll)
	}
}

// measureSpread publishes new label sets, as other nodes would, and measures
// how long it takes until a bare watch has each, and until the agent has it in
// the kernel.
func measureSpread(ctx context.Context, n *node, c *cluster) ([]report.Row, error) {
	pins, err := filepath.Glob(n.Path("bpf/signet/maps-*/identities"))
	if err != nil || len(pins) != 1 {
		return nil, fmt.Errorf("pinned tables of identities: %v, %w", pins, err)
	}
	table, err := ebpf.LoadPinnedMap(pins[0], &ebpf.LoadPinOptions{ReadOnly: true})
	if err != nil {
		return nil, err
	}
	defer func() { _ = table.Close() }() // it was only read
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	bare, err := newBareWatch(ctx, c)
	if err != nil {
		return nil, err
	}
	var pairs []report.Pair
	var ours, theirs []float64
	for i := range newSets {
		pair, err := spreadOne(ctx, c, table, bare, i)
		if err != nil {
			return nil, err
		}
		pairs = append(pairs, pair)
		ours, theirs = append(ours, pair.Figure), append(theirs, pair.Baseline)
		time.Sleep(spreadPause)
	}
	row := report.Row{
		Case: "new label set to every agent can judge it: p99", Against: "bare client-go watch of the same objects", Unit: "ms",
		Figure: report.Percentile(ours, 99), Baseline: report.Percentile(theirs, 99), Target: report.Target{AtMost: 2}, Pairs: pairs,
	}
	row.Ratio = row.Figure / row.Baseline
	median := report.Of("new label set to every agent can judge it: median", row.Against, "ms", report.Target{}, pairs)
	say("new label sets: %.1f ms at the median, %.1f ms p99; bare watch %.1f and %.1f", median.Figure, row.Figure, median.Baseline, row.Baseline)
	return []report.Row{median, row.Judge()}, nil
}

func spreadOne(ctx context.Context, c *cluster, table *ebpf.Map, bare *bareWatch, number int) (report.Pair, error) {
	ctx, cancel := context.WithTimeout(ctx, spreadTime)
	defer cancel()
	labels := map[string]string{"spread": strconv.Itoa(number), "app": "app-1"}
	object := space(number % spaces)
	set := identity.NewSet(object.Name, object.Labels, labels, identity.DefaultIgnore())
	id := identity.Number(set, 0)
	type outcome struct {
		at  time.Time
		err error
	}
	kernel := make(chan outcome, 1)
	began := time.Now()
	go func() {
		at, err := awaitKernel(ctx, table, id)
		kernel <- outcome{at, err}
	}()
	if err := c.createIdentity(ctx, set); err != nil {
		return report.Pair{}, err
	}
	seen, err := bare.await(ctx, id.String())
	if err != nil {
		return report.Pair{}, err
	}
	judged := <-kernel
	return report.Pair{
		Figure: judged.at.Sub(began).Seconds() * 1000, Baseline: seen.Sub(began).Seconds() * 1000,
	}, judged.err
}
