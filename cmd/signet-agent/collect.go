package main

import (
	"context"
	"time"

	"github.com/signet-cni/signet/internal/kube"
)

// How often the elected agent looks for unused identities: a quarter of the time
// that these stay, within bounds.
const (
	minCollectInterval = 5 * time.Second
	maxCollectInterval = time.Minute
)

func collectInterval(grace time.Duration) time.Duration {
	return min(max(grace/4, minCollectInterval), maxCollectInterval)
}

// collect takes part in the election until ctx ends, and collects while this
// node is elected.
func (a *agent) collect(ctx context.Context) {
	err := a.client.Lead(ctx, kube.CollectElection, func(ctx context.Context) {
		a.elected.Store(true)
		defer a.elected.Store(false)
		a.loops.report.Poke()
		a.collectRounds(ctx, a.watcher.NewCollector())
	})
	if err != nil {
		a.log.Error("identities that nothing uses are not collected", "error", err)
	}
}

// collectRounds follows a grace time that is changed meanwhile.
func (a *agent) collectRounds(ctx context.Context, collector *kube.Collector) {
	ticker := time.NewTicker(minCollectInterval)
	defer ticker.Stop()
	for last := (time.Time{}); ; {
		if grace := a.cfg.settings.current().grace; time.Since(last) >= collectInterval(grace) {
			last = time.Now()
			a.collectRound(ctx, collector, grace)
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

func (a *agent) collectRound(ctx context.Context, collector *kube.Collector, grace time.Duration) {
	gone, err := collector.Collect(ctx, grace)
	if len(gone) > 0 {
		a.log.Info("identities collected", "count", len(gone), "first", gone[0].String())
	}
	if err != nil && ctx.Err() == nil {
		a.log.Warn("not everything could be collected", "error", err)
	}
}
